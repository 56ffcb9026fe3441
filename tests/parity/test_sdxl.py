"""Stable Diffusion XL's pipelines, on a folder that PyTorch diffusers wrote, against what diffusers made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import jstyle
from jstyle.errors import InputError, InputWarning
from jstyle.networks import UNet2DConditionModel
from jstyle.networks.config import UNetConfig
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.pipelines.stable_diffusion_xl import StableDiffusionXLPipeline
from tests.golden import sdxl, tiny
from tests.parity.networks import GOLDEN, golden, relative_error, seeded

FOLDER = GOLDEN / "sdxl_folder"
RECORDED = golden("sdxl")
TOLERANCE = 1e-4
CLASSES = {
    "text": jstyle.AutoPipelineForText2Image,
    "image": jstyle.AutoPipelineForImage2Image,
    "mask": jstyle.AutoPipelineForInpainting,
}
SCHEDULERS = {"euler": jstyle.EulerDiscreteScheduler, "euler_a": jstyle.EulerAncestralDiscreteScheduler}


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return jstyle.DiffusionPipeline.from_pretrained(str(FOLDER))


def make(pipe: StableDiffusionPipeline, run: dict[str, Any], **more: Any) -> Any:
    """What a run comes to."""
    components: dict[str, Any] = dict(run.get("config", {}))
    if "unet" in run:
        config = UNetConfig.from_dict({**tiny.SDXL["unet"], **run["unet"]})
        components["unet"] = seeded(UNet2DConditionModel, config)
    if "scheduler" in run:
        name, changes = run["scheduler"]
        components["scheduler"] = SCHEDULERS[name].from_config({**sdxl.SCHEDULE, **changes})
    kind = run.get("kind", "text")
    own = CLASSES[kind].from_pipe(pipe, **components)
    count = len(run.get("prompts", "a"))
    settings = {"num_inference_steps": sdxl.STEPS, "output_type": "latent", "latents": RECORDED["noise"][:count]}
    settings.update(run["call"], **more)
    if kind == "text":
        settings.update(height=64, width=32)
    else:
        settings["image"] = Image.fromarray(RECORDED["init_image"])
    if kind == "mask":
        settings.update(mask_image=Image.fromarray(RECORDED["mask"]), overlay=False)
    return own(**settings).images


@pytest.mark.parametrize("name", list(sdxl.RUNS))
@pytest.mark.filterwarnings("ignore:negative_prompt_2 is not used")
def test_runs(pipe: StableDiffusionPipeline, name: str) -> None:
    assert relative_error(make(pipe, sdxl.RUNS[name]), RECORDED[f"{name}_latents"]) < TOLERANCE


def test_what_is_given_matters() -> None:
    """So that a run which agrees says something."""
    plain = RECORDED["plain_latents"]
    for name in set(sdxl.RUNS) - {"plain", "only_second_negative", "half_of_negative_sizes"}:
        latents = RECORDED[f"{name}_latents"][:1]
        assert relative_error(latents, plain) > 10 * TOLERANCE, name


def test_decoded(pipe: StableDiffusionPipeline) -> None:
    image = make(pipe, sdxl.RUNS["plain"], output_type="np")
    assert -10 * np.log10(np.mean((image - RECORDED["plain_image"]) ** 2)) > 80


def test_a_saved_folder_is_what_diffusers_wrote(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    encoded = CLASSES["text"].from_pipe(pipe, force_zeros_for_empty_prompt=False)
    for number, one in enumerate((pipe, encoded)):
        one.save_pretrained(tmp_path / str(number))
        again = StableDiffusionXLPipeline.from_pretrained(str(tmp_path / str(number)))
        run = {**sdxl.RUNS["plain"], "config": {}}
        assert np.array_equal(make(again, run), make(one, run))
    index = json.loads((tmp_path / "0" / "model_index.json").read_text())
    written = json.loads((FOLDER / "model_index.json").read_text())
    assert {key: index[key] for key in written if key != "_diffusers_version"} == {
        key: value for key, value in written.items() if key != "_diffusers_version"
    }
    assert sorted(path.name for path in (tmp_path / "0").iterdir()) == sorted(path.name for path in FOLDER.iterdir())


def test_embeddings_take_the_place_of_texts(pipe: StableDiffusionPipeline) -> None:
    run = sdxl.RUNS["two_texts"]
    names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    embeds = dict(zip(names, pipe.encode_prompt(**run["call"])))
    assert [tuple(embeds[name].shape) for name in names] == [(1, 77, 40), (1, 77, 40), (1, 12), (1, 12)]
    assert np.array_equal(make(pipe, {"call": embeds}), make(pipe, run))
    assert pipe.encode_prompt("a", do_classifier_free_guidance=False)[1::2] == (None, None)


def test_copies_lie_side_by_side_with_their_own_negative_sizes(pipe: StableDiffusionPipeline) -> None:
    noise = RECORDED["noise"]
    call = {**sdxl.RUNS["sizes"]["call"], "num_images_per_prompt": 2, "num_inference_steps": 2, "latents": noise}
    both = make(pipe, {"call": call})
    for row in range(2):
        alone = make(pipe, {"call": {**call, "num_images_per_prompt": 1, "latents": noise[row : row + 1]}})
        assert relative_error(both[row : row + 1], alone) < TOLERANCE


def test_each_class_has_diffusers_defaults() -> None:
    pipe = jstyle.StableDiffusionXLInpaintPipeline.from_pretrained(str(FOLDER))
    pipe("a", image=Image.new("RGB", (32, 32)), mask_image=Image.new("L", (32, 32), 255), num_inference_steps=2)
    assert (pipe.guidance_scale, pipe.num_timesteps) == (7.5, 1)
    text = jstyle.StableDiffusionXLPipeline.from_pipe(pipe)
    text("a", num_inference_steps=1)
    assert text.guidance_scale == 5.0


def test_what_a_picture_carries(pipe: StableDiffusionPipeline) -> None:
    call = {"prompt": ["a", "b"], "prompt_2": ["c", "d"], "original_size": (9, 8), "latents": None, "seed": 3}
    pictures = make(pipe, {"call": {**call, "num_inference_steps": 1, "output_type": "pil"}})
    specs = [json.loads(picture.info["jstyle"])["spec"] for picture in pictures]
    told = [(spec["subject"]["prompt"], spec["beyond"]["prompt_2"], spec["beyond"]["original_size"]) for spec in specs]
    assert told == [("a", "c", [9, 8]), ("b", "d", [9, 8])]
    assert "target_size" not in specs[0]["beyond"]


def test_callbacks_turn_guidance_off(pipe: StableDiffusionPipeline) -> None:
    """As diffusers' SDXLCFGCutoffCallback does."""
    names = ["latents", "prompt_embeds", "add_text_embeds", "add_time_ids"]
    shapes: list[tuple[int, ...]] = []

    def cut_off(_: Any, index: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        shapes.append(tuple(tensors["add_time_ids"].shape))
        if index == 0:
            own._guidance_scale = 0.0
            return {name: tensors[name][1:] for name in names[1:]}
        return tensors

    own = CLASSES["text"].from_pipe(pipe)
    options: dict[str, Any] = {"callback_on_step_end": cut_off, "callback_on_step_end_tensor_inputs": names}
    first = own("a", height=32, width=32, num_inference_steps=3, seed=1, output_type="latent", **options).images
    assert shapes == [(2, 6), (1, 6), (1, 6)]
    plain = own("a", height=32, width=32, num_inference_steps=3, seed=1, output_type="latent").images
    assert not np.allclose(first, plain)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"original_size": 1024}, "original_size must be two whole numbers, .height, width."),
    ({"target_size": (1, 2, 3)}, "target_size must be two whole numbers"),
    ({"crops_coords_top_left": (0.5, 1)}, "crops_coords_top_left must be two whole numbers, .top, left."),
    ({"original_size": (-1, 64)}, "original_size must be two whole numbers, .height, width., each from 1 to"),
    ({"negative_target_size": (0, 0)}, "negative_target_size must be two whole numbers, .height, width., each from 1"),
    ({"crops_coords_top_left": (-1, 0)}, "crops_coords_top_left must be two whole numbers, .top, left., each from 0"),
    ({"prompt_2": []}, "prompt_2 is an empty list"),
    ({"negative_prompt_2": []}, "negative_prompt_2 is an empty list"),
    ({"aesthetic_score": "high"}, "aesthetic_score must be a number"),
    ({"prompt_2": 3}, "prompt_2 must be a text"),
    ({"prompt_2": ["a", "b"]}, "2 texts of prompt_2 for 1 prompts"),
    ({"prompt": None, "prompt_embeds": np.zeros((1, 77, 40))}, "pooled_prompt_embeds go with prompt_embeds of SDXL"),
    ({"pooled_prompt_embeds": np.zeros((1, 12))}, "pooled_prompt_embeds go with prompt_embeds: give both"),
    ({"negative_pooled_prompt_embeds": np.zeros((1, 12))}, "negative_pooled_prompt_embeds go with negative_prompt_emb"),
    ({"denoising_end": 0.8}, "denoising_end: SDXL's refiner is not here"),
    ({"clip_skip": 2}, "clip_skip must be a whole number from 0 to 1"),
    ({"callback_on_step_end": print, "callback_on_step_end_tensor_inputs": ["mask"]}, "may be .*add_time_ids"),
    (
        {"prompt": None, "prompt_embeds": np.zeros((1, 77, 40)), "pooled_prompt_embeds": np.zeros((2, 12))},
        "2 rows of pooled_prompt_embeds for 1 of prompt_embeds",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_what_a_call_does_not_take(pipe: StableDiffusionPipeline, call: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(pipe, {"call": {"prompt": "a", **call}})


def test_masked_latents_of_another_shape_are_refused(pipe: StableDiffusionPipeline) -> None:
    painting = jstyle.StableDiffusionXLInpaintPipeline.from_pipe(pipe)
    picture, mask = Image.new("RGB", (32, 32)), Image.new("L", (32, 32), 255)
    with pytest.raises(InputError, match=r"masked_image_latents of shape .* are needed, not \(1, 4, 3, 3\)"):
        painting("a", image=picture, mask_image=mask, masked_image_latents=np.zeros((1, 4, 3, 3), np.float32))


@pytest.mark.parametrize("call", [{"prompt_2": "b"}, {"original_size": (8, 8)}, {"negative_prompt_2": "b"},
                                  {"prompt": None, "prompt_embeds": np.zeros((1, 77, 16)),
                                   "pooled_prompt_embeds": np.zeros((1, 12))}])  # fmt: skip
def test_what_is_for_sdxl_alone(call: dict[str, Any]) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))
    with pytest.raises(InputError, match="SDXL"):
        pipe(**{"prompt": "a", **call}, height=32, width=32, num_inference_steps=1)


def test_a_negative_text_for_the_second_encoder_alone_is_told(pipe: StableDiffusionPipeline) -> None:
    with pytest.warns(InputWarning, match="negative_prompt_2 is not used without negative_prompt"):
        make(pipe, sdxl.RUNS["only_second_negative"])


def test_what_reads_a_text_alone_is_not_for_sdxl(pipe: StableDiffusionPipeline) -> None:
    with pytest.raises(InputError, match="reads a text alone, and SDXL's UNet a vector of it and sizes too"):
        pipe.encode_texts("a river")


def test_models_of_other_kinds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is for SDXL, which has a second text encoder"):
        StableDiffusionXLPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))
    refiner = json.loads((FOLDER / "model_index.json").read_text())
    (tmp_path / "model_index.json").write_text(json.dumps({**refiner, "text_encoder": [None, None]}))
    with pytest.raises(InputError, match="as SDXL's refiner has: that is not here; load the base"):
        StableDiffusionPipeline.from_pretrained(str(tmp_path))
