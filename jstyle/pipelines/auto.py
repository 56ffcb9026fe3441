"""diffusers' classes that choose a pipeline by its task: here every model has one for each."""

from __future__ import annotations

from typing import Any, ClassVar

from jstyle.pipelines.image_to_image import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.pipelines.stable_diffusion_xl import (
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)


class AutoPipelineForText2Image:
    """Loads a `StableDiffusionPipeline`, or a `StableDiffusionXLPipeline` where the model is one."""

    kind: ClassVar[type[StableDiffusionPipeline]] = StableDiffusionPipeline
    kind_of_xl: ClassVar[type[StableDiffusionPipeline]] = StableDiffusionXLPipeline

    @classmethod
    def from_pretrained(cls, model: str, **options: Any) -> StableDiffusionPipeline:
        """The model of a folder, a hub id or "tiny"; arguments and errors as of the pipeline's own."""
        return cls._take_kind(cls.kind.from_pretrained(model, **options))

    @classmethod
    def from_pipe(cls, pipeline: StableDiffusionPipeline, **components: Any) -> StableDiffusionPipeline:
        """The task's pipeline on another's networks; arguments and errors as of the pipeline's own."""
        return cls._take_kind(cls.kind.from_pipe(pipeline, **components))

    @classmethod
    def _take_kind(cls, pipe: StableDiffusionPipeline) -> StableDiffusionPipeline:
        return cls.kind_of_xl.from_pipe(pipe) if pipe.is_xl else pipe


class AutoPipelineForImage2Image(AutoPipelineForText2Image):
    """Loads a `StableDiffusionImg2ImgPipeline`, or SDXL's."""

    kind = StableDiffusionImg2ImgPipeline
    kind_of_xl = StableDiffusionXLImg2ImgPipeline


class AutoPipelineForInpainting(AutoPipelineForText2Image):
    """Loads a `StableDiffusionInpaintPipeline`, or SDXL's."""

    kind = StableDiffusionInpaintPipeline
    kind_of_xl = StableDiffusionXLInpaintPipeline


class DiffusionPipeline(AutoPipelineForText2Image):
    """Loads a `StableDiffusionPipeline` or SDXL's, or one for inpainting where the UNet was trained for that."""

    @classmethod
    def from_pretrained(cls, model: str, **options: Any) -> StableDiffusionPipeline:
        """As `AutoPipelineForText2Image.from_pretrained`."""
        pipe = super().from_pretrained(model, **options)
        if pipe.unet.config.in_channels == pipe.vae.config.latent_channels:
            return pipe
        return AutoPipelineForInpainting.from_pipe(pipe)
