"""ControlNets against PyTorch diffusers on the same weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle.networks import ControlNetModel, UNet2DConditionModel
from jstyle.networks.config import ControlNetConfig, UNetConfig
from jstyle.networks.outputs import ControlNetOutput
from jstyle.pipelines.controlnet import (
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetInpaintPipeline,
    StableDiffusionControlNetPipeline,
)
from jstyle.pipelines.controlnet_xl import (
    StableDiffusionXLControlNetImg2ImgPipeline,
    StableDiffusionXLControlNetInpaintPipeline,
    StableDiffusionXLControlNetPipeline,
)
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.weights.loading import load_weights
from jstyle.weights.streamed import write
from jstyle.weights.tensors import ArrayTensors
from tests.golden import tiny
from tests.parity.networks import GOLDEN, golden, relative_error, seeded

SCALE = 0.7
NETS = {
    "sd1": tiny.controlnet_config(tiny.SD1["unet"]),
    "sd2": tiny.controlnet_config(tiny.SD2["unet"], controlnet_conditioning_channel_order="bgr"),
    "sdxl": tiny.controlnet_config(tiny.SDXL["unet"]),
    "pool": tiny.controlnet_config(tiny.FOLDER["unet"], global_pool_conditions=True),
}


def join(residuals: ControlNetOutput) -> np.ndarray:
    """All residuals end to end, the middle's last."""
    maps = [*residuals.down_block_res_samples, residuals.mid_block_res_sample]
    return np.concatenate([one.numpy().ravel() for one in maps])


@pytest.mark.parametrize("name", NETS)
def test_residuals(name: str) -> None:
    recorded = golden("controlnet")
    net = seeded(ControlNetModel, ControlNetConfig.from_dict(NETS[name]))
    inputs = [recorded[f"{name}_{key}"] for key in ("sample", "timestep", "context", "map")]
    added = {key: recorded[f"sdxl_{key}"] for key in ("text_embeds", "time_ids")} if name == "sdxl" else None
    for mode in ("", "guess_"):
        with jt.no_grad():
            residuals = net(*inputs, SCALE, guess_mode=bool(mode), added_cond_kwargs=added)
        assert relative_error(join(residuals), recorded[f"{name}_{mode}residuals"]) < 1e-5


def test_a_folder_of_diffusers(tmp_path: Path) -> None:
    """Its configuration has dozens of keys that leave the network as it is."""
    recorded = golden("controlnet")
    (tmp_path / "config.json").write_text(str(recorded["config"]))
    config = ControlNetConfig.from_dict(json.loads(str(recorded["config"])))
    assert config == ControlNetConfig.from_dict(NETS["sd1"])
    parameters = {name: tuple(p.shape) for name, p in ControlNetModel(config).named_parameters()}
    with open(tmp_path / "diffusion_pytorch_model.safetensors", "wb") as stream:
        write(stream, parameters, lambda name: tiny.seeded_tensor(name, parameters[name]), "float32", {"format": "pt"})
    net = ControlNetModel.from_pretrained(tmp_path)
    inputs = [recorded[f"sd1_{key}"] for key in ("sample", "timestep", "context", "map")]
    with jt.no_grad():
        assert relative_error(join(net(*inputs, SCALE)), recorded["sd1_residuals"]) < 1e-5


TEN: dict[str, Any] = {"num_inference_steps": 10, "output_type": "latent"}
TEXTS = {"prompt": "a painting of the river at night", "negative_prompt": "a photo of the bridge", **TEN}
RUNS: dict[str, tuple[int, dict[str, Any]]] = {
    "one": (1, {}),
    "scaled": (1, {"controlnet_conditioning_scale": 0.6}),
    "guess": (1, {"guess_mode": True, "guidance_scale": 4.0}),
    "window": (1, {"control_guidance_start": 0.2, "control_guidance_end": 0.7}),
    "unguided": (1, {"guidance_scale": 1.0, "negative_prompt": None}),
    "two": (2, {"controlnet_conditioning_scale": [0.5, 0.8]}),
    "windows": (2, {"control_guidance_start": [0.0, 0.3], "control_guidance_end": [0.5, 1.0]}),
    "guess_two": (2, {"guess_mode": True, "controlnet_conditioning_scale": 0.4}),
}
"""How many nets there are, and what a call is told."""


@pytest.fixture(scope="module")
def runs() -> dict[str, Any]:
    return golden("controlnet_runs")


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionControlNetPipeline:
    """With the two nets of the recorded runs."""
    config = ControlNetConfig.from_dict(tiny.controlnet_config(tiny.FOLDER["unet"]))
    nets = [seeded(ControlNetModel, config), ControlNetModel(config)]
    arrays = {n: tiny.seeded_tensor(f"second.{n}", tuple(p.shape)) for n, p in nets[1].named_parameters()}
    load_weights(nets[1], ArrayTensors(arrays), "second")
    return StableDiffusionControlNetPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"), controlnet=nets)


def take(pipe: StableDiffusionControlNetPipeline, kind: Any, count: int) -> Any:
    """A pipeline of that kind with so many of the nets."""
    return kind.from_pipe(pipe, controlnet=pipe.nets[0] if count == 1 else pipe.nets)


@pytest.mark.parametrize("name", RUNS)
def test_text_to_image(pipe: StableDiffusionControlNetPipeline, runs: dict[str, Any], name: str) -> None:
    count, options = RUNS[name]
    maps = [Image.fromarray(runs["map"]), Image.fromarray(runs["edges"])]
    call = {**TEXTS, "latents": runs["noise"], "image": maps if count == 2 else maps[0], **options}
    latents = take(pipe, StableDiffusionControlNetPipeline, count)(**call).images
    assert relative_error(latents, runs[name]) < 1e-4


@pytest.fixture(scope="module")
def xl() -> StableDiffusionXLControlNetPipeline:
    net = seeded(ControlNetModel, ControlNetConfig.from_dict(NETS["sdxl"]))
    return StableDiffusionXLControlNetPipeline.from_pretrained(str(GOLDEN / "sdxl_folder"), controlnet=net)


@pytest.mark.parametrize("name", ["xl", "xl_guess"])
def test_xl(xl: StableDiffusionXLControlNetPipeline, runs: dict[str, Any], name: str) -> None:
    call = {**TEXTS, "latents": runs["noise"], "image": Image.fromarray(runs["map"]), "guess_mode": name == "xl_guess"}
    assert relative_error(xl(**call).images, runs[name]) < 1e-4


@pytest.mark.parametrize(
    ("name", "kind", "more"),
    [
        ("xl_image", StableDiffusionXLControlNetImg2ImgPipeline, {"strength": 0.6}),
        ("xl_mask", StableDiffusionXLControlNetInpaintPipeline, {"strength": 0.75, "crops_coords_top_left": (8, 16)}),
    ],
)
def test_xl_from_a_picture(
    xl: StableDiffusionXLControlNetPipeline, runs: dict[str, Any], name: str, kind: Any, more: dict[str, Any]
) -> None:
    started = {"image": Image.fromarray(runs["map"]), "control_image": Image.fromarray(runs["edges"]), **TEXTS}
    masks = {"mask_image": Image.fromarray(runs["mask"])} if name == "xl_mask" else {}
    latents = kind.from_pipe(xl)(latents=runs["forward"], **started, **masks, **more).images
    assert relative_error(latents, runs[name]) < 1e-4


def test_a_map_a_prompt(pipe: StableDiffusionControlNetPipeline, runs: dict[str, Any]) -> None:
    noise = np.concatenate([runs["noise"], -runs["noise"]])
    call = {"prompt": [TEXTS["prompt"], TEXTS["negative_prompt"]], "latents": noise}
    maps = [Image.fromarray(runs["map"]), Image.fromarray(runs["edges"])]
    latents = take(pipe, StableDiffusionControlNetPipeline, 1)(image=maps, **call, **TEN).images
    assert relative_error(latents, runs["batch"]) < 1e-4


def test_image_to_image(pipe: StableDiffusionControlNetPipeline, runs: dict[str, Any]) -> None:
    started = {"image": Image.fromarray(runs["map"]), "control_image": Image.fromarray(runs["edges"]), **TEXTS}
    call = {**started, "strength": 0.6, "control_guidance_end": 0.5, "latents": runs["forward"]}
    latents = take(pipe, StableDiffusionControlNetImg2ImgPipeline, 1)(**call).images
    assert relative_error(latents, runs["image"]) < 1e-4


@pytest.mark.parametrize("channels", [4, 9])
def test_inpainting(pipe: StableDiffusionControlNetPipeline, runs: dict[str, Any], channels: int) -> None:
    started = {"image": Image.fromarray(runs["map"]), "control_image": Image.fromarray(runs["edges"]), **TEXTS}
    inpaint = take(pipe, StableDiffusionControlNetInpaintPipeline, 1)
    if channels == 9:
        config = UNetConfig.from_dict({**tiny.FOLDER["unet"], "in_channels": 9})
        inpaint.unet = seeded(UNet2DConditionModel, config)
    latents = inpaint(mask_image=Image.fromarray(runs["mask"]), latents=runs["forward"], **started).images
    assert relative_error(latents, runs[f"mask{channels}"]) < 1e-4


def test_a_net_is_not_computed_where_it_does_not_steer(
    pipe: StableDiffusionControlNetPipeline, runs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    compute = ControlNetModel.compute

    def count(net: Any, *inputs: Any) -> Any:
        seen.append(pipe.nets.index(net))
        return compute(net, *inputs)

    monkeypatch.setattr(ControlNetModel, "compute", count)
    maps = [Image.fromarray(runs["map"]), Image.fromarray(runs["edges"])]
    call = {**TEXTS, "image": maps, "latents": runs["noise"]}
    steered = take(pipe, StableDiffusionControlNetPipeline, 2)
    steered(**call, controlnet_conditioning_scale=[0.0, 1.0], control_guidance_start=[0.0, 0.25])
    assert seen == [1] * 7
    plain = StableDiffusionPipeline.from_pipe(pipe)(**TEXTS, height=64, width=32, latents=runs["noise"]).images
    np.testing.assert_array_equal(steered(**call, controlnet_conditioning_scale=0).images, plain)
    assert seen == [1] * 7
