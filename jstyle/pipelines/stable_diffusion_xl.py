"""Stable Diffusion XL by diffusers' names: the same pipelines, with the arguments and defaults that it has there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Optional

from jstyle.diffusion.weighted_text import PLAIN
from jstyle.errors import InputError
from jstyle.pictures.given import GivenPictures
from jstyle.pipelines.arrays import Array
from jstyle.pipelines.call import CallOptions
from jstyle.pipelines.image_to_image import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.pipelines.texts import Prompt, Texts, choose_prompt, require_prompt
from jstyle.runtime import jt
from jstyle.weights.checkpoint import Components

if TYPE_CHECKING:
    from typing_extensions import Unpack

Halves = tuple[jt.Var, Optional[jt.Var], Optional[jt.Var], Optional[jt.Var]]


class _OfXL(StableDiffusionPipeline):
    """What is true of all three: the model is SDXL."""

    usual_guidance = 5.0

    def __init__(self, parts: Optional[Components] = None, **components: Any) -> None:
        """As of every pipeline. Raises InputError for a model with one text encoder too."""
        super().__init__(parts, **components)
        if not self.is_xl:
            raise InputError(
                f"{type(self).__name__} is for SDXL, which has a second text encoder: load this model with the class "
                "whose name has no XL, or with AutoPipelineForText2Image"
            )

    def encode_prompt(  # type: ignore[override]
        self,
        prompt: Optional[Prompt] = None,
        prompt_2: Optional[Texts] = None,
        device: Any = None,
        num_images_per_prompt: int = 1,
        do_classifier_free_guidance: bool = True,
        negative_prompt: Optional[Prompt] = None,
        negative_prompt_2: Optional[Texts] = None,
        prompt_embeds: Any = None,
        negative_prompt_embeds: Any = None,
        pooled_prompt_embeds: Any = None,
        negative_pooled_prompt_embeds: Any = None,
        lora_scale: Optional[float] = None,
        clip_skip: Optional[int] = None,
    ) -> Halves:
        """What a call makes of its texts: text, negative text, (images, tokens, width), and the vectors of both.

        Raises InputError for wrong texts and counts.
        """
        text = require_prompt(prompt, prompt_embeds, prompt_2, pooled_prompt_embeds)
        negative = choose_prompt(
            negative_prompt, negative_prompt_embeds, "negative_prompt", negative_prompt_2, negative_pooled_prompt_embeds
        )
        guidance = math.inf if do_classifier_free_guidance else 1.0
        with self.loras.scaled(1.0 if lora_scale is None else lora_scale):
            own, other = self._encode_halves(text, negative, guidance, num_images_per_prompt, clip_skip or 0, PLAIN)
        against = (None, None) if other is None else (other.text, other.pooled)
        return own.text, against[0], own.pooled, against[1]  # type: ignore[return-value]


class StableDiffusionXLPipeline(_OfXL):
    """Text-to-image with Stable Diffusion XL (arXiv 2307.01952).

    A VAE computes in fp32 here whatever the UNet does, so that of SDXL does not overflow.
    """

    def __call__(
        self,
        prompt: Optional[Prompt] = None,
        prompt_2: Optional[Texts] = None,
        height: Optional[int] = None,
        width: Optional[int] = None,
        num_inference_steps: int = 50,
        **options: Unpack[CallOptions],  # type: ignore[misc]  (prompt_2 has its place)
    ) -> Any:
        """Images of a text: a `PipelineOutput`; ``prompt_2`` is for the second text encoder, by default the prompt.

        Other arguments and errors as in `StableDiffusionPipeline`.
        """
        return super().__call__(prompt, height, width, num_inference_steps, **{**options, "prompt_2": prompt_2})


class StableDiffusionXLImg2ImgPipeline(_OfXL, StableDiffusionImg2ImgPipeline):
    """Image-to-image with Stable Diffusion XL."""

    def __call__(  # type: ignore[override]
        self,
        prompt: Optional[Prompt] = None,
        prompt_2: Optional[Texts] = None,
        image: Optional[GivenPictures] = None,
        strength: float = 0.3,
        num_inference_steps: int = 50,
        **options: Unpack[CallOptions],  # type: ignore[misc]  (prompt_2 has its place)
    ) -> Any:
        """As `StableDiffusionImg2ImgPipeline`, with a ``prompt_2`` as in text-to-image."""
        given: CallOptions = {**options, "prompt_2": prompt_2}
        return super().__call__(prompt, image, strength, num_inference_steps, **given)  # type: ignore[misc]


class StableDiffusionXLInpaintPipeline(_OfXL, StableDiffusionInpaintPipeline):
    """Inpainting with Stable Diffusion XL."""

    usual_guidance = 7.5

    def __call__(  # type: ignore[override]
        self,
        prompt: Optional[Prompt] = None,
        prompt_2: Optional[Texts] = None,
        image: Optional[GivenPictures] = None,
        mask_image: Optional[GivenPictures] = None,
        masked_image_latents: Optional[Array] = None,
        height: Optional[int] = None,
        width: Optional[int] = None,
        padding_mask_crop: Optional[int] = None,
        strength: float = 0.9999,
        num_inference_steps: int = 50,
        *,
        overlay: bool = True,
        **options: Unpack[CallOptions],  # type: ignore[misc]  (prompt_2 has its place)
    ) -> Any:
        """As `StableDiffusionInpaintPipeline`, with a ``prompt_2`` as in text-to-image."""
        return super().__call__(  # type: ignore[misc]
            prompt,
            image,  # type: ignore[arg-type]
            mask_image,  # type: ignore[arg-type]
            masked_image_latents,  # type: ignore[arg-type]
            height,  # type: ignore[arg-type]
            width,
            padding_mask_crop,
            strength,
            num_inference_steps,
            overlay=overlay,
            **{**options, "prompt_2": prompt_2},
        )
