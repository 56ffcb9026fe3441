"""Image-to-image and inpainting: text-to-image that starts from, or keeps parts of, a picture."""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple, Union

import numpy as np
from PIL import Image

from jstyle.diffusion.noise import Seeds
from jstyle.diffusion.samplers import AfterStep
from jstyle.diffusion.schedule import Level, diffuse
from jstyle.errors import InputError
from jstyle.pictures import images
from jstyle.pipelines.stable_diffusion import (
    OnStep,
    PipelineOutput,
    Prompt,
    StableDiffusionPipeline,
    given_latents,
    noise_of,
    step_noise,
)
from jstyle.runtime import jt

Pictures = Union[Image.Image, Sequence[Image.Image]]


class StableDiffusionImg2ImgPipeline(StableDiffusionPipeline):
    """Noise a picture part of the way and denoise it under a text (SDEdit, arXiv 2108.01073)."""

    def __call__(  # type: ignore[override]
        self,
        prompt: Prompt,
        image: Pictures,
        strength: float = 0.8,
        num_inference_steps: int = 50,
        guidance_scale: float = 7.5,
        negative_prompt: Optional[Prompt] = None,
        num_images_per_prompt: int = 1,
        eta: float = 0.0,
        generator: Optional[np.random.Generator] = None,
        latents: Optional[np.ndarray] = None,
        output_type: str = "pil",
        *,
        seed: Optional[Seeds] = None,
        sampler: Optional[str] = None,
        on_step: Optional[OnStep] = None,
    ) -> PipelineOutput:
        """``image`` is one picture for all prompts or one each; the result has its size.

        Of the ``num_inference_steps`` the last ``strength`` share runs: 1 ignores the picture, and 0 is an error
        because nothing would run. The picture's latent is the posterior's mode. Other arguments and errors as
        in text-to-image.
        """
        method = self.sampler(sampler)
        start = first_step(num_inference_steps, strength)
        noise = noise_of(prompt, num_images_per_prompt, seed, generator)
        clean = self._encode_each(images.to_array(listed(image)), len(noise.seeds))
        shape = tuple(clean.shape[1:])
        unit = noise.normal("latents", shape) if latents is None else given_latents(latents, len(noise.seeds), shape)
        x = diffuse(clean, unit, method.levels(self.schedule, num_inference_steps, None)[start].alpha_bar)
        denoiser = self.denoiser(prompt, negative_prompt, guidance_scale, num_images_per_prompt)
        fresh = step_noise(noise, shape)
        steps = method(denoiser, x, self.schedule, num_inference_steps, start=start, eta=eta, noise=fresh)
        return PipelineOutput(self.finish(steps, output_type, on_step), noise.seeds)

    def _encode_each(self, pictures: np.ndarray, count: int) -> jt.Var:
        """Latents of pictures (n, 3, height, width) in [-1, 1], repeated to one an image."""
        if count % len(pictures):
            raise InputError(f"{len(pictures)} pictures do not spread over {count} images; give one, or one a prompt")
        self.latent_shape(*pictures.shape[2:])
        latents = self.encode_images(jt.array(pictures))
        return jt.concat([latents[i * len(pictures) // count].unsqueeze(0) for i in range(count)], dim=0)


class StableDiffusionInpaintPipeline(StableDiffusionImg2ImgPipeline):
    """Paint the masked part of a picture anew.

    With a 4-channel UNet the known part is put back, noised, after every step (RePaint's blending,
    arXiv 2201.09865, equation 8); a 9-channel inpainting checkpoint sees the mask and the masked picture.
    """

    def __call__(  # type: ignore[override]
        self,
        prompt: Prompt,
        image: Pictures,
        mask_image: Pictures,
        strength: float = 1.0,
        num_inference_steps: int = 50,
        guidance_scale: float = 7.5,
        negative_prompt: Optional[Prompt] = None,
        num_images_per_prompt: int = 1,
        eta: float = 0.0,
        generator: Optional[np.random.Generator] = None,
        latents: Optional[np.ndarray] = None,
        output_type: str = "pil",
        *,
        seed: Optional[Seeds] = None,
        sampler: Optional[str] = None,
        on_step: Optional[OnStep] = None,
    ) -> PipelineOutput:
        """``mask_image`` is white where the picture is to change, of the picture's size.

        Other arguments and errors as in image-to-image; strength 1 starts from pure noise.
        """
        method = self.sampler(sampler)
        start = first_step(num_inference_steps, strength)
        noise = noise_of(prompt, num_images_per_prompt, seed, generator)
        count = len(noise.seeds)
        pictures = images.to_array(listed(image))
        clean = self._encode_each(pictures, count)
        shape = tuple(clean.shape[1:])
        unit = noise.normal("latents", shape) if latents is None else given_latents(latents, count, shape)
        if strength == 1.0:
            x = unit * method.initial_scale(self.schedule, num_inference_steps)
        else:
            x = diffuse(clean, unit, method.levels(self.schedule, num_inference_steps, None)[start].alpha_bar)
        mask, masked = self._masks(pictures, mask_image, count)
        extra, after_step = None, None
        if self.unet.config.in_channels == shape[0]:
            after_step = keep_known(clean, unit, mask)
        else:
            extra = jt.concat([mask, masked], dim=1)
        denoiser = self.denoiser(prompt, negative_prompt, guidance_scale, num_images_per_prompt, extra)
        fresh = step_noise(noise, shape)
        steps = method(
            denoiser, x, self.schedule, num_inference_steps, start=start, eta=eta, noise=fresh, after_step=after_step
        )
        return PipelineOutput(self.finish(steps, output_type, on_step), noise.seeds)

    def _masks(self, pictures: np.ndarray, mask_image: Pictures, count: int) -> Tuple[jt.Var, jt.Var]:
        """The mask at the latent's size and the latents of the pictures with the masked part grey."""
        masks = images.to_mask(listed(mask_image))  # (masks, 1, height, width)
        if len(masks) not in (1, len(pictures)) or masks.shape[2:] != pictures.shape[2:]:
            raise InputError("a mask of the picture's size is needed, one for all pictures or one each")
        factor = self.vae.config.factor
        rows = [i * len(masks) // count for i in range(count)]
        small = jt.array(masks[rows][:, :, ::factor, ::factor])
        return small, self._encode_each(np.where(masks > 0.5, np.float32(0), pictures), count)


def listed(pictures: Pictures) -> List[Image.Image]:
    """One picture or several, as a list."""
    return [pictures] if isinstance(pictures, Image.Image) else list(pictures)


def first_step(steps: int, strength: float) -> int:
    """The index of the first step that runs. Raises InputError when none would."""
    if not 0.0 <= strength <= 1.0:
        raise InputError(f"strength must lie between 0 and 1, not {strength}")
    run = min(int(steps * strength), steps)
    if run == 0:
        raise InputError(f"strength {strength} of {steps} steps leaves none to run; raise one of them")
    return steps - run


def keep_known(clean: jt.Var, unit: jt.Var, mask: jt.Var) -> AfterStep:
    """Puts the known part of the picture, at the noise level reached, back into x. ``mask`` is 1 where x is free."""

    def after_step(x: jt.Var, index: int, level: Level) -> jt.Var:
        known = clean if level.t < 0 else diffuse(clean, unit, level.alpha_bar)
        return (1 - mask) * known + mask * x

    return after_step
