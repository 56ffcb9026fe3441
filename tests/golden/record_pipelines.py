"""Writes `diffusers_folder/` with PyTorch diffusers and records what its pipelines make from known noise.

Run `python tests/golden/record_pipelines.py` from the repository's root, in the environment that README.md describes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import tiny
import torch
from diffusers import (
    DDIMScheduler,
    DiffusionPipeline,
    PNDMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
)
from diffusers.models.autoencoders import vae as autoencoder
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_img2img as img2img
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_inpaint as inpaint
from PIL import Image
from record import HERE, build_text, build_unet, build_vae, noise, rng, save, write_tokenizer

FOLDER = HERE / "diffusers_folder"
HEIGHT, WIDTH, FACTOR = 64, 32, 4
LATENT = (1, 4, HEIGHT // FACTOR, WIDTH // FACTOR)
SETTINGS: dict[str, Any] = {
    "prompt": "a painting of the river at night",
    "negative_prompt": "a photo of the bridge",
    "guidance_scale": 7.5,
    "num_inference_steps": 20,
}


def write_folder() -> None:
    """A whole pipeline with the scheduler of Stable Diffusion 2.1 (v-prediction)."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    tokenizer = write_tokenizer(HERE / "tokenizer_sd2", pad="!")
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        num_train_timesteps=1000,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
        timestep_spacing="leading",
    )
    StableDiffusionPipeline(
        vae=build_vae(tiny.FOLDER["vae"]),
        text_encoder=build_text(tiny.FOLDER["text"]),
        tokenizer=tokenizer,
        unet=build_unet(tiny.FOLDER["unet"]),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(FOLDER, safe_serialization=True)
    for name in ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json"):
        shutil.copy(HERE / "tokenizer_sd2" / name, FOLDER / "tokenizer" / name)


@contextmanager
def drawn(module: Any, draws: list[np.ndarray]) -> Iterator[None]:
    """Makes `module` and the autoencoder draw these arrays, in this order, and no more."""
    queue = [torch.from_numpy(draw) for draw in draws]

    def randn_tensor(shape: Any, **_: Any) -> torch.Tensor:
        draw = queue.pop(0)
        assert draw.shape == tuple(shape), (draw.shape, shape)
        return draw

    posterior = mock.patch.object(autoencoder, "randn_tensor", randn_tensor)
    with posterior, mock.patch.object(module, "randn_tensor", randn_tensor):
        yield
    assert not queue, f"{len(queue)} draws were not used"


def generate(pipe: DiffusionPipeline, prefix: str = "", **inputs: Any) -> dict[str, np.ndarray]:
    """The last latents (1, 4, h, w), the image (1, H, W, 3) in [0, 1] and the timesteps, under `prefix`."""
    seen: dict[str, list[Any]] = {"latents": [], "timesteps": []}

    def remember(_: Any, __: int, timestep: Any, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        seen["latents"].append(state["latents"].numpy())
        seen["timesteps"].append(int(timestep))
        return state

    pipe.set_progress_bar_config(disable=True)
    image = pipe(**{**SETTINGS, **inputs}, output_type="np", callback_on_step_end=remember).images
    return {
        f"{prefix}latents": seen["latents"][-1],
        f"{prefix}image": image,
        f"{prefix}timesteps": np.array(seen["timesteps"], dtype=np.int64),
    }


def photo() -> np.ndarray:
    """A smooth uint8 image (H, W, 3) with some noise."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    waves = np.stack([np.sin(x / 5), np.cos(y / 7), np.sin((x + y) / 9)], axis=-1)
    grain = rng("photo").standard_normal((HEIGHT, WIDTH, 3))
    return np.clip(127.5 + 90 * waves + 10 * grain, 0, 255).astype(np.uint8)


def disc() -> np.ndarray:
    """A uint8 mask (H, W): 255, to be painted, within a disc whose edge does not follow the latents' grid."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.where((y - 30) ** 2 + (x - 13) ** 2 < 11**2, 255, 0).astype(np.uint8)


def record_text_to_image() -> None:
    """DDIM as the folder has it, and PNDM in its place."""
    pipe = StableDiffusionPipeline.from_pretrained(FOLDER)
    negative, positive = SETTINGS["negative_prompt"], SETTINGS["prompt"]
    conditional, unconditional = pipe.encode_prompt(positive, "cpu", 1, True, negative)
    init = noise("pipeline/init_latents", LATENT)
    arrays = {**SETTINGS, "init_latents": init, "context": torch.cat([unconditional, conditional]).numpy()}
    arrays.update(generate(pipe, "ddim_", latents=torch.from_numpy(init)))
    pipe.scheduler = PNDMScheduler.from_config(pipe.scheduler.config, skip_prk_steps=True)
    arrays.update(generate(pipe, "pndm_", latents=torch.from_numpy(init)))
    save("pipeline", arrays)


def record_image_to_image() -> None:
    """Strength 0.6, from a sampled posterior and (`mode_`) from its mode."""
    pipe = StableDiffusionImg2ImgPipeline.from_pretrained(FOLDER)
    posterior, forward = noise("img2img/posterior_noise", LATENT), noise("img2img/noise", LATENT)
    arrays = {
        **SETTINGS,
        "strength": 0.6,
        "init_image": photo(),
        "posterior_noise": posterior,
        "noise": forward,
    }
    for prefix, draw in (("", posterior), ("mode_", np.zeros_like(posterior))):
        with drawn(img2img, [draw, forward]):
            arrays.update(generate(pipe, prefix, image=Image.fromarray(photo()), strength=0.6))
    save("img2img", arrays)


def record_inpaint(name: str, pipe: DiffusionPipeline, strengths: dict[str, float]) -> None:
    """Inpainting for each prefix and strength, from sampled posteriors and (`mode_`) from their modes.

    The UNet of 4 channels draws for the image, the noise and the masked image, whose latents it does not use; that of
    9 channels draws for the noise and the masked image.
    """
    keys = ["posterior_noise", "noise", "masked_posterior_noise"][0 if pipe.unet.config.in_channels == 4 else 1 :]
    draws = {key: noise(f"{name}/{key}", LATENT) for key in keys}
    arrays = {**SETTINGS, "init_image": photo(), "mask": disc(), **draws}
    images = {"image": Image.fromarray(photo()), "mask_image": Image.fromarray(disc())}
    for prefix, strength in strengths.items():
        arrays[f"{prefix}strength"] = strength
        for mode in ("", "mode_"):
            scale = {key: float(key == "noise" or not mode) for key in keys}
            with drawn(inpaint, [draws[key] * np.float32(scale[key]) for key in keys]):
                arrays.update(generate(pipe, prefix + mode, strength=strength, height=HEIGHT, width=WIDTH, **images))
    save(name, arrays)


def record_unguided() -> None:
    """A guidance of 0 under a negative prompt, of which diffusers takes no notice then; 0.5 gives the same arrays."""
    pipe = StableDiffusionPipeline.from_pretrained(FOLDER)
    forward = noise("img2img/noise", LATENT)
    posterior = np.zeros_like(forward)
    picture, mask = Image.fromarray(photo()), Image.fromarray(disc())

    def generate_all(guidance: float) -> dict[str, np.ndarray]:
        inputs: dict[str, Any] = {"guidance_scale": guidance}
        arrays = generate(pipe, "text_", latents=torch.from_numpy(forward), **inputs)
        inputs.update(image=picture, strength=0.6)
        with drawn(img2img, [posterior, forward]):
            arrays.update(generate(StableDiffusionImg2ImgPipeline.from_pipe(pipe), "image_", **inputs))
        inputs.update(mask_image=mask, height=HEIGHT, width=WIDTH)
        with drawn(inpaint, [posterior, forward, posterior]):
            arrays.update(generate(StableDiffusionInpaintPipeline.from_pipe(pipe), "mask_", **inputs))
        return arrays

    arrays = generate_all(0.0)
    half = generate_all(0.5)
    assert all(np.array_equal(arrays[key], half[key]) for key in arrays)
    save("unguided", {**SETTINGS, "strength": 0.6, "init_image": photo(), "mask": disc(), "noise": forward, **arrays})


def main() -> None:
    """Writes the folder, then records the pipelines on it."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    write_folder()
    record_text_to_image()
    record_image_to_image()
    record_unguided()
    pipe = StableDiffusionInpaintPipeline.from_pretrained(FOLDER)
    record_inpaint("inpaint4", pipe, {"": 1.0, "partial_": 0.75})
    pipe = StableDiffusionInpaintPipeline.from_pretrained(
        FOLDER, unet=build_unet({**tiny.FOLDER["unet"], "in_channels": 9})
    )
    record_inpaint("inpaint9", pipe, {"": 1.0})


if __name__ == "__main__":
    main()
