"""Pictures of a text and nothing else, on a model that something learnt may have been put on."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from PIL import Image

from jstyle.events import Evaluated
from jstyle.pictures.spec import PromptedPicture
from jstyle.pipelines.starts import FromNoise

if TYPE_CHECKING:
    from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline


def draw_prompted(pipe: StableDiffusionPipeline, spec: PromptedPicture) -> Generator[Evaluated, None, Image.Image]:
    """The picture, on a pipeline that has the spec's model and adapters."""
    steps = pipe.sample(
        spec.prompt,
        FromNoise(spec.height, spec.width),
        steps=spec.steps,
        guidance=spec.guidance,
        negative_prompt=spec.negative_prompt,
        eta=spec.eta,
        seeds=spec.seed,
        sampler=spec.sampler,
    )
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return end.value.images[0]
        yield Evaluated("picture", step.evaluations)
