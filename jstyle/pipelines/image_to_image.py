"""Image-to-image and inpainting: text-to-image that starts from, or keeps parts of, a picture."""

from __future__ import annotations

from typing import Optional

import numpy as np

from jstyle.diffusion.noise import Seeds
from jstyle.events import exhaust
from jstyle.pipelines.stable_diffusion import (
    OnStep,
    PipelineOutput,
    Prompt,
    StableDiffusionPipeline,
    choose_seeds,
)
from jstyle.pipelines.starts import FromMaskedPictures, FromPictures, Pictures


class StableDiffusionImg2ImgPipeline(StableDiffusionPipeline):
    """Noise a picture part of the way and denoise it under a text."""

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
        sigmas: Optional[str] = None,
        on_step: Optional[OnStep] = None,
    ) -> PipelineOutput:
        """``image`` is one picture for all prompts or one each; the result has its size.

        ``strength`` 1 ignores the picture, and 0 is an error because nothing would run (`FromPictures`). Other
        arguments and errors as in text-to-image.
        """
        steps = self.sample(
            prompt,
            FromPictures(image, strength),
            steps=num_inference_steps,
            guidance=guidance_scale,
            negative_prompt=negative_prompt,
            copies=num_images_per_prompt,
            eta=eta,
            seeds=choose_seeds(seed, generator, prompt, num_images_per_prompt),
            unit=latents,
            sampler=sampler,
            sigmas=sigmas,
            output_type=output_type,
        )
        return exhaust(steps, on_step)


class StableDiffusionInpaintPipeline(StableDiffusionPipeline):
    """Paint the masked part of a picture anew (`FromMaskedPictures`)."""

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
        sigmas: Optional[str] = None,
        on_step: Optional[OnStep] = None,
        overlay: bool = True,
        padding_mask_crop: Optional[int] = None,
    ) -> PipelineOutput:
        """``mask_image`` is white where the picture is to change, of the picture's size.

        Every other pixel of a picture is the given one's, to the bit, unless ``overlay`` is off: then the autoencoder
        changes it a little, as in diffusers. ``padding_mask_crop`` paints the part around the mask alone, with so many
        pixels more on each side, at the model's own size; the picture may then have any size. Other arguments and
        errors as in image-to-image; strength 1 starts from pure noise.
        """
        steps = self.sample(
            prompt,
            FromMaskedPictures(image, mask_image, strength, overlay, padding_mask_crop),
            steps=num_inference_steps,
            guidance=guidance_scale,
            negative_prompt=negative_prompt,
            copies=num_images_per_prompt,
            eta=eta,
            seeds=choose_seeds(seed, generator, prompt, num_images_per_prompt),
            unit=latents,
            sampler=sampler,
            sigmas=sigmas,
            output_type=output_type,
        )
        return exhaust(steps, on_step)
