"""UNets that read the guidance, as latent consistency models do, against diffusers on the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jstyle
from jstyle.adapters.lora import layers
from jstyle.errors import InputError, InputWarning
from jstyle.networks import UNet2DConditionModel
from jstyle.networks.addition import embed_guidance
from jstyle.networks.config import UNetConfig
from jstyle.runtime import jt
from tests.golden import tiny
from tests.golden.lcm_lora import write_lora
from tests.parity.networks import GOLDEN, golden, relative_error, seeded

RECORDED = golden("reads_guidance")
CONFIGS = {"sd": tiny.FOLDER["unet"], "xl": tiny.SDXL["unet"]}
FOLDERS = {"sd": "diffusers_folder", "xl": "sdxl_folder"}
CALL: dict[str, Any] = {"prompt": "a painting of the river at night", "guidance_scale": 8.0, "output_type": "latent"}


def make_unet(name: str) -> UNet2DConditionModel:
    return seeded(UNet2DConditionModel, UNetConfig.from_dict({**CONFIGS[name], "time_cond_proj_dim": 8}))  # type: ignore[return-value]


@pytest.fixture(scope="module", params=["sd", "xl"])
def pipe(request: pytest.FixtureRequest) -> Any:
    pipe = jstyle.DiffusionPipeline.from_pretrained(str(GOLDEN / FOLDERS[request.param]))
    pipe = type(pipe).from_pipe(pipe, unet=make_unet(request.param))
    pipe.scheduler = jstyle.DDIMScheduler.from_config(pipe.scheduler.config)
    return pipe


@pytest.mark.parametrize("width", [8, 9])
def test_the_embedding_of_a_scale(width: int) -> None:
    made = np.concatenate([embed_guidance(scale, width) for scale in RECORDED["scales"].tolist()])
    np.testing.assert_allclose(made, RECORDED[f"embedded_{width}"], atol=2e-4)  # of angles up to 7000 in fp32


@pytest.mark.parametrize("name", ["sd", "xl"])
def test_answers(name: str) -> None:
    keys = ("sample", "timestep", "context", "timestep_cond", "text_embeds", "time_ids", "out")
    given = {key: RECORDED[f"{name}_{key}"] for key in keys if f"{name}_{key}" in RECORDED}
    added = {key: given[key] for key in ("text_embeds", "time_ids") if key in given} or None
    unet, inputs = make_unet(name), (given["sample"], given["timestep"], given["context"])
    with jt.no_grad():
        out = unet(*inputs, timestep_cond=given["timestep_cond"], added_cond_kwargs=added).sample
        assert relative_error(out, given["out"]) < 1e-5
        assert relative_error(unet(*inputs, added_cond_kwargs=added).sample, given["out"]) > 1e-3
    with pytest.raises(InputError, match="timestep_cond"):
        unet(*inputs, timestep_cond=given["timestep_cond"][:, :5], added_cond_kwargs=added)


def test_runs_need_one_half(pipe: Any) -> None:
    name = "xl" if pipe.is_xl else "sd"
    evaluations: list[int] = []
    with pytest.warns(InputWarning, match="this model was distilled with the guidance as an input"):
        made = pipe(
            **CALL,
            negative_prompt="the old town",
            num_inference_steps=10,
            height=64,
            width=64,
            latents=RECORDED["noise"],
            on_step=lambda step: evaluations.append(step.evaluations),
        ).images
    assert relative_error(made, RECORDED[f"{name}_run"]) < 1e-4
    assert evaluations == [1] * 10 and not pipe.do_classifier_free_guidance


def test_a_callback_changes_text_and_guidance_of_one_half(pipe: Any) -> None:
    def change(pipe: Any, step: int, t: Any, shown: dict[str, Any]) -> dict[str, Any]:
        pipe._guidance_scale = 6.0
        return {"prompt_embeds": shown["prompt_embeds"] * 0.5}

    call = {**CALL, "num_inference_steps": 2, "height": 64, "width": 64, "latents": RECORDED["noise"]}
    plain = pipe(**call).images
    names = ["latents", "prompt_embeds"]
    made = pipe(**call, callback_on_step_end=change, callback_on_step_end_tensor_inputs=names).images
    assert relative_error(made, plain) > 1e-3


def test_a_run_from_a_picture() -> None:
    pipe = jstyle.AutoPipelineForImage2Image.from_pretrained(str(GOLDEN / "diffusers_folder"), unet=make_unet("sd"))
    pipe.scheduler = jstyle.DDIMScheduler.from_config(pipe.scheduler.config)
    picture = {"image": RECORDED["clean"], "latents": RECORDED["noise"], "strength": 0.6}
    made = pipe(**CALL, **picture, num_inference_steps=10).images
    assert relative_error(made, RECORDED["sd_image_run"]) < 1e-4


def test_a_lora_that_stands_for_such_a_model() -> None:
    pipe = jstyle.DiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))
    shapes = {path: tuple(layer.weight.shape) for path, layer in layers(pipe.unet).items()}
    pipe.load_lora_weights(write_lora(shapes))
    pipe.scheduler = jstyle.DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="trailing")
    call = {**CALL, "guidance_scale": 1.0, "num_inference_steps": 4, "height": 64, "width": 64}
    assert relative_error(pipe(**call, latents=RECORDED["noise"]).images, RECORDED["lora_run"]) < 1e-4
    pipe.unload_lora_weights()
    assert relative_error(pipe(**call, latents=RECORDED["noise"]).images, RECORDED["lora_run"]) > 1e-2


def test_what_such_a_model_cannot_do_is_one_line(pipe: Any) -> None:
    for method, settings in ((jstyle.StyleID, jstyle.StyleIDSettings()), (jstyle.ZStar, jstyle.ZStarSettings())):
        with pytest.raises(InputError, match="this one was distilled to a few steps: take the one that it was"):
            method(pipe, settings)
    plain = jstyle.DiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))
    with pytest.raises(InputError, match="timestep_cond is for one that reads the guidance"):
        plain.unet(RECORDED["sd_sample"], 3, RECORDED["sd_context"], timestep_cond=RECORDED["sd_timestep_cond"])
    with pytest.raises(InputError, match="time_cond_proj_dim must be at least 4, not 2"):
        UNet2DConditionModel(time_cond_proj_dim=2)
