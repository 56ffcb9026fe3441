"""Every argument of a call is looked at before work starts: the wrong ones are one line that names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import jstyle
from jstyle import StableDiffusionInpaintPipeline, StableDiffusionPipeline
from jstyle.errors import InputError
from jstyle.networks import UNet2DConditionModel
from jstyle.pipelines.call import CallOptions
from jstyle.runtime import jt
from jstyle.settings.arguments import list_arguments
from tests.parity.networks import GOLDEN, seeded

FOLDER = str(GOLDEN / "diffusers_folder")
NAN, HUGE = float("nan"), 10**400
PICTURE, MASK = Image.new("RGB", (32, 32)), Image.new("L", (32, 32), 255)
GIVEN: Mapping[str, dict[str, Any]] = {
    "StableDiffusionPipeline": {"height": 32, "width": 32},
    "StableDiffusionImg2ImgPipeline": {"image": PICTURE},
    "StableDiffusionInpaintPipeline": {"image": PICTURE, "mask_image": MASK},
}
NUMBER, SHARE = [NAN, 1e308, HUGE, "x", True], [-0.1, 1.5, NAN, "x", True]
WHOLE, YES, FUNCTION = [-1, 1.5, "x", True], ["no", 1], [5]
CORNER = [5, "xy", (1,), (1.5, 2), (1, True), (1, HUGE), (-1, 0)]
SIZE = [*CORNER, (-1, 64), (0, 0), (64, 0)]


def spoil(*shape: int) -> list[Any]:
    """An array of that shape with what no network takes."""
    return ["x", np.full(shape, NAN), np.full(shape, np.inf), jt.array(np.full(shape, NAN, np.float32)),
            np.zeros(shape, np.complex64), np.zeros((3, 2))]  # fmt: skip


WRONG: Mapping[str, list[Any]] = {
    "prompt": [5, None, [1], "\ud800", []],
    "negative_prompt": [5, [1], "\ud800"],
    "prompt_embeds": spoil(1, 77, 32),
    "negative_prompt_embeds": spoil(1, 77, 32),
    "image": [5, None, [], "nowhere.png", np.full((32, 32, 3), NAN), np.full((1, 4, 8, 8), NAN)],
    "mask_image": [5, None, [], "nowhere.png", np.full((32, 32), NAN)],
    "masked_image_latents": [*spoil(1, 4, 8, 8), np.zeros((1, 4, 3, 3)), np.zeros((2, 4, 8, 8))],
    "height": [0, -8, 31, 1.5, "x", True, 10**9],
    "width": [0, -8, 31, 1.5, "x", True, 10**9],
    "strength": [*SHARE, 0.0],
    "padding_mask_crop": WHOLE,
    "overlay": YES,
    "num_inference_steps": [0, -1, 1.5, "x", True, None, 1001],
    "guidance_scale": [*NUMBER, None],
    "guidance_rescale": [*SHARE, None],
    "num_images_per_prompt": [0, *WHOLE, 10**12],
    "clip_skip": [*WHOLE, 99],
    "prompt_weights": ["x", 5, None],
    "long_prompts": ["x", 5, None],
    "seed": [-1, 1.5, "x", True, [1, 2]],
    "generator": ["cuda", 1.5, True, [1, 2]],
    "latents": spoil(1, 4, 8, 8),
    "eta": [*SHARE, 0.5],
    "sampler": ["x", 5],
    "timesteps": ["x", 5, [NAN], [900, True], [], [100, 900], [-5], [5000], np.array([True, False])],
    "sigmas": ["nope", 5, [NAN, 0], [True, 0], [], [1, 2, 0], [3, 1]],
    "output_type": ["x", 5, None, []],
    "return_dict": [*YES, None],
    "cross_attention_kwargs": [5, {"scale": NAN}, {"scale": 1e38}, {"gligen": 1}, {1: 2}],
    "callback_on_step_end": FUNCTION,
    "callback_on_step_end_tensor_inputs": [5, "latents", ["noise"], [5]],
    "callback": FUNCTION,
    "callback_steps": [0, *WHOLE],
    "on_step": FUNCTION,
    "ip_adapter_image": [PICTURE],
    "ip_adapter_image_embeds": [[np.zeros(3)]],
    "denoising_end": [0.5],
    "denoising_start": [0.5],
    "prompt_2": [5, [1], "\ud800", []],
    "negative_prompt_2": [5, [1], "\ud800", []],
    "pooled_prompt_embeds": spoil(1, 32),
    "negative_pooled_prompt_embeds": spoil(1, 32),
    "original_size": SIZE,
    "target_size": SIZE,
    "crops_coords_top_left": CORNER,
    "negative_original_size": SIZE,
    "negative_target_size": SIZE,
    "negative_crops_coords_top_left": CORNER,
    "aesthetic_score": NUMBER,
    "negative_aesthetic_score": NUMBER,
}
BESIDE: Mapping[str, dict[str, Any]] = {
    "prompt_embeds": {"prompt": None},
    "timesteps": {"sampler": "euler"},
    "sigmas": {"sampler": "euler"},
    "eta": {"sampler": "euler"},
    "negative_prompt_2": {"negative_prompt": "b"},
}
"""What is changed with an argument."""

SAID: Mapping[str, str] = {
    "height": "size|side",
    "width": "size|side",
    "num_inference_steps": "number of steps",
    "image": "image|there is no|nowhere",
    "mask_image": "mask_image|there is no|nowhere",
    "timesteps": "timesteps|time",
    "masked_image_latents": "masked_image_latents|pictures do not spread",
}
"""What names an argument in the line, where that is not its name."""


@pytest.fixture(scope="module")
def pipes() -> dict[str, Any]:
    pipe = StableDiffusionPipeline.from_pretrained(FOLDER)
    return {name: getattr(jstyle, name).from_pipe(pipe) for name in GIVEN}


def list_known(kind: str) -> list[str]:
    return [name for name in [*list_arguments(getattr(jstyle, kind).__call__), *CallOptions.__annotations__]]


CASES = [(kind, name) for kind in GIVEN for name in dict.fromkeys(list_known(kind))]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_wrong_argument_is_one_line_that_names_it(
    pipes: dict[str, Any], kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UNet2DConditionModel, "compute", refuse_work)
    for value in WRONG[name]:
        options = {"prompt": "a", "num_inference_steps": 2, **GIVEN[kind], **BESIDE.get(name, {}), name: value}
        with pytest.raises(InputError) as refused:
            pipes[kind](**options)
        line = str(refused.value)
        names = SAID.get(name, name).split("|")
        assert "\n" not in line and any(part in line for part in names), (value, line)


def refuse_work(*_: Any) -> Any:
    raise AssertionError("the UNet was asked before all arguments were looked at")


@pytest.mark.parametrize("kind", list(GIVEN))
def test_a_misspelt_argument_is_told_with_the_one_that_was_meant(pipes: dict[str, Any], kind: str) -> None:
    for name in list_known(kind):
        misspelt = name[:-1] + "q"
        with pytest.raises(InputError, match=f"this call has no argument '{misspelt}'; did you mean {name}"):
            pipes[kind](**{"prompt": "a", **GIVEN[kind], misspelt: 3})


def test_a_picture_of_a_mask_is_what_callbacks_are_shown_and_may_change(pipes: dict[str, Any]) -> None:
    """As in diffusers 0.42.1: both halves under guidance, and a changed mask counts from the next step on."""
    pipe, half = pipes["StableDiffusionInpaintPipeline"], Image.new("L", (32, 32))
    half.paste(255, (0, 0, 16, 32))
    seen: list[Any] = []

    def open_all(_: Any, index: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append({name: tuple(tensor.shape) for name, tensor in tensors.items()})
        return {**tensors, "mask": jt.ones(tensors["mask"].shape)} if index == 0 else tensors

    common: dict[str, Any] = {"image": PICTURE, "mask_image": half, "num_inference_steps": 4, "seed": 3}
    watched = {"callback_on_step_end_tensor_inputs": ["mask", "masked_image_latents"], "output_type": "latent"}
    kept = pipe("a", **common, output_type="latent").images
    same = pipe("a", callback_on_step_end=lambda *given: given[3], **watched, **common).images
    assert np.allclose(kept, same, atol=1e-4)  # what is shown is computed in between, which rounds otherwise
    opened = pipe("a", callback_on_step_end=open_all, **watched, **common).images
    assert seen[0] == {"mask": (2, 1, 8, 8), "masked_image_latents": (2, 4, 8, 8)}
    known = np.array(pipe.encode_images(jt.array(np.full((1, 3, 32, 32), -1.0, np.float32))).numpy())
    right = np.s_[..., 4:]
    assert np.allclose(kept[right], known[right], atol=1e-5) and not np.allclose(opened[right], known[right], atol=0.1)
    with pytest.raises(InputError, match="mask of a callback must be"):
        pipe("a", callback_on_step_end=lambda *_: {"mask": np.zeros((1, 2, 8, 8))}, **watched, **common)


def test_what_a_network_for_inpainting_sees_may_change(pipes: dict[str, Any]) -> None:
    pipe = pipes["StableDiffusionPipeline"]
    unet = seeded(UNet2DConditionModel, replace(pipe.unet.config, in_channels=9))
    painting = StableDiffusionInpaintPipeline.from_pipe(pipe, unet=unet)

    def see_nothing(_: Any, __: int, ___: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        return {name: 0 * tensor if name == "masked_image_latents" else tensor for name, tensor in tensors.items()}

    common: dict[str, Any] = {"image": PICTURE, "mask_image": MASK, "seed": 3, "output_type": "latent"}
    names = ["latents", "mask", "masked_image_latents"]
    watched = {"callback_on_step_end": see_nothing, "callback_on_step_end_tensor_inputs": names}
    blind = np.zeros((1, 4, 8, 8), np.float32)
    for steps, differs in ((1, False), (3, True)):
        plain, changed = (painting("a", num_inference_steps=steps, **common, **more).images for more in ({}, watched))
        assert np.allclose(plain, changed) != differs
    assert not np.allclose(changed, painting("a", masked_image_latents=blind, num_inference_steps=3, **common).images)


def test_a_mask_is_blurred_before_a_call(pipes: dict[str, Any]) -> None:
    half = Image.new("L", (32, 32))
    half.paste(255, (0, 0, 16, 32))
    blurred = np.asarray(pipes["StableDiffusionInpaintPipeline"].mask_processor.blur(half, blur_factor=4), float)
    assert blurred.shape == (32, 32) and 0 < blurred[0, 18] < blurred[0, 13] < 255
    with pytest.raises(InputError, match="blur_factor must be from 0 to"):
        pipes["StableDiffusionInpaintPipeline"].mask_processor.blur(half, -1)


def test_items_of_an_output_are_its_values(pipes: dict[str, Any]) -> None:
    output = pipes["StableDiffusionPipeline"]("a", height=32, width=32, num_inference_steps=1)
    assert output["images"] is output[0] is output.images and output["seeds"] == output.seeds and output[1] is None
    assert output.keys() == ["images", "seeds"]
    for name in ("to_tuple", "_x", "__class__"):
        with pytest.raises(KeyError):
            output[name]
