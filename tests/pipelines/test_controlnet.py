"""The pipelines with ControlNets: what they hold, how calls are read, and what is wrong in one, a line each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from jstyle.errors import InputError
from jstyle.networks import ControlNetModel
from jstyle.networks.config import ControlNetConfig
from jstyle.pipelines.controlnet import (
    MultiControlNetModel,
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetInpaintPipeline,
    StableDiffusionControlNetPipeline,
)
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.training.draws import make_generator
from recipes.tiny.drawings import caption, render, sample_scene
from tests.golden import tiny
from tests.parity.networks import GOLDEN, seeded

MODEL = str(GOLDEN / "diffusers_folder")
MAP = Image.fromarray(np.random.default_rng(1).integers(256, size=(32, 48, 3), dtype=np.uint8))
CALL: dict[str, Any] = {"prompt": "a river", "num_inference_steps": 2, "seed": 1}


def make_net(**changes: Any) -> ControlNetModel:
    return seeded(ControlNetModel, ControlNetConfig.from_dict(tiny.controlnet_config(tiny.FOLDER["unet"], **changes)))


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionControlNetPipeline:
    return StableDiffusionControlNetPipeline.from_pretrained(MODEL, controlnet=make_net())


@pytest.fixture(scope="module")
def pair(pipe: StableDiffusionControlNetPipeline) -> StableDiffusionControlNetPipeline:
    return StableDiffusionControlNetPipeline.from_pipe(pipe, controlnet=[pipe.controlnet, make_net()])


def test_pictures_are_as_large_as_the_map_and_say_what_steered_them(pipe: StableDiffusionControlNetPipeline) -> None:
    picture = pipe(image=MAP, controlnet_conditioning_scale=0.5, **CALL).images[0]
    assert picture.size == MAP.size
    assert '"control_scale": [0.5]' in picture.info["jstyle"] and '"guess_mode": false' in picture.info["jstyle"]
    assert pipe(image=MAP, height=16, width=16, **CALL).images[0].size == (16, 16)


def test_pipelines_share_their_nets(pair: StableDiffusionControlNetPipeline) -> None:
    assert isinstance(pair.controlnet, MultiControlNetModel) and len(pair.nets) == 2
    other = StableDiffusionControlNetImg2ImgPipeline.from_pipe(pair)
    assert other.nets == pair.nets and other.components["controlnet"] is not None
    assert StableDiffusionControlNetInpaintPipeline(**pair.components).nets == pair.nets
    plain = StableDiffusionPipeline.from_pipe(pair)("a river", 16, 16, 1)
    assert plain.images[0].size == (16, 16)


def test_two_nets_with_a_map_a_prompt_each(pair: StableDiffusionControlNetPipeline) -> None:
    """diffusers' nested lists: one for each prompt, of one for each net."""
    other = MAP.transpose(Image.Transpose.ROTATE_180)
    call = {"num_inference_steps": 2, "seed": [3, 3], "output_type": "latent"}
    both = pair(["a river", "a river"], image=[[MAP, other], [other, MAP]], **call).images
    call["seed"] = 3
    alone = [pair("a river", image=maps, **call).images[0] for maps in ([MAP, other], [other, MAP])]
    np.testing.assert_allclose(both, np.stack(alone), atol=1e-4)


def test_a_folder_of_such_a_pipeline_brings_its_net(tmp_path: Path, pipe: StableDiffusionControlNetPipeline) -> None:
    StableDiffusionPipeline.from_pipe(pipe).save_pretrained(tmp_path / "model")
    pipe.nets[0].save_pretrained(tmp_path / "model" / "controlnet")
    back = StableDiffusionControlNetPipeline.from_pretrained(tmp_path / "model")
    same = [one(image=MAP, output_type="latent", **CALL).images for one in (pipe, back)]
    np.testing.assert_array_equal(*same)
    with pytest.raises(InputError, match="model and nets are saved apart"):
        pipe.save_pretrained(tmp_path / "other")


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no map": ({}, "no image was given"),
    "no picture": ({"image": 3}, "image must be a picture"),
    "numbers": ({"image": np.full((8, 8, 3), 7.0)}, "numbers from 7 to 7 are no picture"),
    "channels": ({"image": np.zeros((8, 8, 2), np.uint8)}, "has no axis of 1, 3 or 4 channels"),
    "three maps for two images": ({"image": [MAP] * 3, "prompt": ["a", "b"]}, "3 pictures do not spread over 2 images"),
    "a text as scale": ({"image": MAP, "controlnet_conditioning_scale": "1"}, "scale must be a finite number, not '1'"),
    "no finite scale": ({"image": MAP, "controlnet_conditioning_scale": np.nan}, "scale must be a finite number"),
    "two scales": ({"image": MAP, "controlnet_conditioning_scale": [1.0, 1.0]}, "has 2 numbers for 1 ControlNets"),
    "a start above the end": ({"image": MAP, "control_guidance_start": 0.9, "control_guidance_end": 0.1}, "below"),
    "an end above 1": ({"image": MAP, "control_guidance_end": 2}, "end must be from 0 to 1, not 2"),
    "a start of a bool": ({"image": MAP, "control_guidance_start": True}, "start must be a finite number, not true"),
    "a guess mode of a number": ({"image": MAP, "guess_mode": 1}, "guess_mode must be True or False, not 1"),
    "an unknown name": ({"image": MAP, "conditioning_scale": 1.0}, "this call has no argument 'conditioning_scale'"),
    "a size of half latents": ({"image": MAP, "height": 30}, "30"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_of_calls(pipe: StableDiffusionControlNetPipeline, name: str) -> None:
    given, line = MISTAKES[name]
    with pytest.raises(InputError, match=line) as caught:
        pipe(**{**CALL, **given})
    assert "\n" not in str(caught.value)


def test_inpainting_takes_no_overlay_but_yes_and_no(pipe: StableDiffusionControlNetPipeline) -> None:
    inpaint = StableDiffusionControlNetInpaintPipeline.from_pipe(pipe)
    with pytest.raises(InputError, match="overlay must be True or False, not 'no'"):
        inpaint("a", MAP, MAP, MAP, num_inference_steps=1, overlay="no")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("image", "line"),
    [
        (MAP, "image must be a list with a map for each of the 2 nets"),
        ([MAP], "image has 1 maps for 2 ControlNets: give one each"),
        ([MAP] * 3, "image has 3 maps for 2 ControlNets"),
        ([[MAP, MAP], [MAP]], "image has 1 maps for 2 ControlNets"),
        ([], "no image was given"),
    ],
)
def test_counts_of_maps_for_two_nets(pair: StableDiffusionControlNetPipeline, image: Any, line: str) -> None:
    with pytest.raises(InputError, match=line):
        pair(image=image, **CALL)


@pytest.mark.parametrize(
    ("nets", "line"),
    [
        ("net", "controlnet must be a jstyle.ControlNetModel or several, not str"),
        ([], "controlnet is an empty list"),
        (3, "controlnet must be"),
    ],
)
def test_what_is_no_net(pipe: StableDiffusionControlNetPipeline, nets: Any, line: str) -> None:
    with pytest.raises(InputError, match=line):
        StableDiffusionControlNetPipeline.from_pipe(pipe, controlnet=nets)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"cross_attention_dim": 768}, "reads texts of width 768, this model's are of 16"),
        ({"in_channels": 9}, "takes latents of 9 channels, this model's have 4"),
        ({"layers_per_block": 1}, "levels are not those of this model's UNet"),
        ({"block_out_channels": [8, 8, 16, 32]}, "levels are not those of this model's UNet"),
        ({"conditioning_embedding_out_channels": [4, 8]}, "2 times as large as latents, this model's pictures 4 times"),
        (
            {
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": 8,
                "projection_class_embeddings_input_dim": 60,
            },
            "one of ControlNet and model is of SDXL",
        ),
    ],
)
def test_nets_of_other_models(pipe: StableDiffusionControlNetPipeline, changes: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        StableDiffusionControlNetPipeline.from_pipe(pipe, controlnet=make_net(**changes))


def test_a_pipeline_without_a_net(pipe: StableDiffusionControlNetPipeline) -> None:
    StableDiffusionControlNetPipeline.from_pretrained(MODEL).to("cpu")
    with pytest.raises(InputError, match="this pipeline has no ControlNet: give controlnet="):
        StableDiffusionControlNetPipeline.from_pretrained(MODEL)(image=MAP, **CALL)


def find_edges(picture: Image.Image) -> np.ndarray:
    """Where brightness changes from pixel to pixel, smoothed: (height, width)."""
    grey = np.asarray(picture.convert("L").filter(ImageFilter.GaussianBlur(1)), float)
    return np.hypot(*np.gradient(grey))


def test_the_embedded_net_draws_along_its_map() -> None:
    """Without it the same caption and seed come to another outline."""
    rng = make_generator(3, 0, "an embedded net's map")
    scene = replace(sample_scene(rng), technique="poster")
    edges = find_edges(Image.fromarray(render(scene, 128)))
    lines = Image.fromarray((255 * (edges > np.quantile(edges, 0.92))).astype(np.uint8))
    pipe = StableDiffusionControlNetPipeline.from_pretrained("tiny", controlnet=ControlNetModel.from_pretrained("tiny"))
    found = []
    for scale in (0.0, 1.0):
        picture = pipe(
            caption(scene, rng), lines, num_inference_steps=10, guidance_scale=3.0, seed=1,
            controlnet_conditioning_scale=scale,
        ).images[0]  # fmt: skip
        found.append(np.corrcoef(edges.ravel(), find_edges(picture).ravel())[0, 1])
    assert found[1] > 0.5 and found[1] > found[0] + 0.2
    assert StableDiffusionPipeline.from_pretrained("tiny").model_hash == pipe.model_hash
