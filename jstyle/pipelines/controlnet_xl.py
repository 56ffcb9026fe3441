"""diffusers' pipelines with ControlNets of SDXL: those of `controlnet`, with SDXL's arguments and defaults."""

from __future__ import annotations

from typing import Any, Optional

from jstyle.pictures.given import GivenPictures
from jstyle.pipelines.controlnet import (
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetInpaintPipeline,
    StableDiffusionControlNetPipeline,
)
from jstyle.pipelines.stable_diffusion_xl import (
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from jstyle.pipelines.texts import Prompt, Texts


class StableDiffusionXLControlNetPipeline(StableDiffusionControlNetPipeline, StableDiffusionXLPipeline):
    """Text-to-image with Stable Diffusion XL that ControlNets of SDXL steer."""

    def __call__(  # type: ignore[override]
        self,
        prompt: Optional[Prompt] = None,
        prompt_2: Optional[Texts] = None,
        image: Optional[GivenPictures] = None,
        height: Optional[int] = None,
        width: Optional[int] = None,
        num_inference_steps: int = 50,
        **options: Any,
    ) -> Any:
        """As `StableDiffusionControlNetPipeline`, with a ``prompt_2`` as in `StableDiffusionXLPipeline`.

        ``options`` are `ControlOptions`.
        """
        given: Any = {**options, "prompt_2": prompt_2}
        return StableDiffusionControlNetPipeline.__call__(
            self, prompt, image, height, width, num_inference_steps, **given
        )


class StableDiffusionXLControlNetImg2ImgPipeline(
    StableDiffusionControlNetImg2ImgPipeline, StableDiffusionXLImg2ImgPipeline
):
    """Image-to-image with Stable Diffusion XL that ControlNets of SDXL steer."""

    def __call__(  # type: ignore[override]
        self,
        prompt: Optional[Prompt] = None,
        prompt_2: Optional[Texts] = None,
        image: Optional[GivenPictures] = None,
        control_image: Optional[GivenPictures] = None,
        height: Optional[int] = None,
        width: Optional[int] = None,
        strength: float = 0.8,
        num_inference_steps: int = 50,
        **options: Any,
    ) -> Any:
        """As `StableDiffusionControlNetImg2ImgPipeline`, with a ``prompt_2``; ``options`` are `ControlOptions`."""
        given: Any = {**options, "prompt_2": prompt_2}
        return StableDiffusionControlNetImg2ImgPipeline.__call__(
            self, prompt, image, control_image, height, width, strength, num_inference_steps, **given
        )


class StableDiffusionXLControlNetInpaintPipeline(
    StableDiffusionControlNetInpaintPipeline, StableDiffusionXLInpaintPipeline
):
    """Inpainting with Stable Diffusion XL that ControlNets of SDXL steer."""

    usual_guidance = 5.0
    usual_scale = 1.0

    def __call__(  # type: ignore[override]
        self,
        prompt: Optional[Prompt] = None,
        prompt_2: Optional[Texts] = None,
        image: Optional[GivenPictures] = None,
        mask_image: Optional[GivenPictures] = None,
        control_image: Optional[GivenPictures] = None,
        height: Optional[int] = None,
        width: Optional[int] = None,
        padding_mask_crop: Optional[int] = None,
        strength: float = 0.9999,
        num_inference_steps: int = 50,
        *,
        overlay: bool = True,
        **options: Any,
    ) -> Any:
        """As `StableDiffusionControlNetInpaintPipeline`, with a ``prompt_2``; ``options`` are `ControlOptions`.

        As in diffusers, the row against the prompt is told the prompt's sizes, and here its corner too, where no other
        is given.
        """
        corner = options.get("crops_coords_top_left")
        against = {} if corner is None else {"negative_crops_coords_top_left": corner}
        given: Any = {**against, **options, "prompt_2": prompt_2, "overlay": overlay}
        return StableDiffusionControlNetInpaintPipeline.__call__(
            self,
            prompt,
            image,
            mask_image,
            control_image,
            height,
            width,
            padding_mask_crop,
            strength,
            num_inference_steps,
            **given,
        )
