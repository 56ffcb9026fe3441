"""Whole pipelines, on a folder that PyTorch diffusers wrote, against the images diffusers made of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jstyle.networks import UNet2DConditionModel
from jstyle.networks.config import UNetConfig
from jstyle.pipelines.image_to_image import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.weights.checkpoint import Components
from tests.parity.networks import GOLDEN, golden, relative_error, seeded

FOLDER = GOLDEN / "diffusers_folder"


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(FOLDER))


def psnr(image: np.ndarray, reference: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of arrays in [0, 1]."""
    return float(-10 * np.log10(np.mean((image.astype(np.float64) - reference) ** 2) + 1e-20))


def common(recorded: dict[str, np.ndarray]) -> dict:
    return {
        "prompt": str(recorded["prompt"]),
        "negative_prompt": str(recorded["negative_prompt"]),
        "guidance_scale": float(recorded["guidance_scale"]),
        "num_inference_steps": int(recorded["num_inference_steps"]),
        "output_type": "np",
    }


@pytest.mark.parametrize("sampler", ["ddim", "pndm"])
def test_text_to_image(pipe: StableDiffusionPipeline, sampler: str) -> None:
    recorded = golden("pipeline")
    height, width = recorded[f"{sampler}_image"].shape[1:3]
    settings = {**common(recorded), "height": height, "width": width, "latents": recorded["init_latents"]}
    image = pipe(**settings, sampler=sampler).images
    assert psnr(image, recorded[f"{sampler}_image"]) > 80
    latents = pipe(**{**settings, "output_type": "latent"}, sampler=sampler).images
    assert relative_error(latents, recorded[f"{sampler}_latents"]) < 1e-4


def test_prompt_encoding(pipe: StableDiffusionPipeline) -> None:
    recorded = golden("pipeline")
    context = pipe.encode_texts([str(recorded["negative_prompt"]), str(recorded["prompt"])])
    assert relative_error(context, recorded["context"]) < 1e-5


def test_image_to_image(pipe: StableDiffusionPipeline) -> None:
    recorded = golden("img2img")
    out = StableDiffusionImg2ImgPipeline.from_pipe(pipe)(
        image=Image.fromarray(recorded["init_image"]),
        strength=float(recorded["strength"]),
        latents=recorded["noise"],
        **common(recorded),
    )
    assert psnr(out.images, recorded["mode_image"]) > 80


@pytest.mark.parametrize("guidance", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("case", ["text", "image", "mask"])
@pytest.mark.filterwarnings("ignore:the negative prompt is not used")
def test_guidance_of_one_or_less_is_the_prompts_prediction_alone(
    pipe: StableDiffusionPipeline, case: str, guidance: float
) -> None:
    recorded = golden("unguided")
    settings = {**common(recorded), "guidance_scale": guidance, "latents": recorded["noise"]}
    picture, mask = (Image.fromarray(recorded[key]) for key in ("init_image", "mask"))
    if case == "text":
        out = pipe(width=picture.width, height=picture.height, **settings)
    elif case == "image":
        out = StableDiffusionImg2ImgPipeline.from_pipe(pipe)(image=picture, strength=0.6, **settings)
    else:
        settings.update(image=picture, mask_image=mask, strength=0.6, overlay=False)
        out = StableDiffusionInpaintPipeline.from_pipe(pipe)(**settings)
    assert psnr(out.images, recorded[f"{case}_image"]) > 80


@pytest.mark.parametrize("case", ["", "partial_"])
def test_inpainting_by_blending(pipe: StableDiffusionPipeline, case: str) -> None:
    recorded = golden("inpaint4")
    out = StableDiffusionInpaintPipeline.from_pipe(pipe)(
        image=Image.fromarray(recorded["init_image"]),
        mask_image=Image.fromarray(recorded["mask"]),
        overlay=False,
        strength=float(recorded[f"{case}strength"]),
        latents=recorded["noise"],
        **common(recorded),
    )
    assert psnr(out.images, recorded[f"{case}mode_image"]) > 80


def test_inpainting_checkpoint(pipe: StableDiffusionPipeline) -> None:
    recorded = golden("inpaint9")
    nine = UNetConfig(**{**vars(pipe.unet.config), "in_channels": 9})
    components = Components(**{**vars(pipe.parts), "unet": seeded(UNet2DConditionModel, nine)})
    out = StableDiffusionInpaintPipeline(components)(
        image=Image.fromarray(recorded["init_image"]),
        mask_image=Image.fromarray(recorded["mask"]),
        overlay=False,
        strength=float(recorded["strength"]),
        latents=recorded["noise"],
        **common(recorded),
    )
    assert psnr(out.images, recorded["mode_image"]) > 80


def test_a_saved_folder_is_what_diffusers_wrote(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    pipe.save_pretrained(tmp_path / "copy")
    again = StableDiffusionPipeline.from_pretrained(str(tmp_path / "copy"))
    recorded = golden("pipeline")
    height, width = recorded["ddim_image"].shape[1:3]
    settings = {**common(recorded), "height": height, "width": width, "latents": recorded["init_latents"]}
    assert np.array_equal(again(**settings).images, pipe(**settings).images)
