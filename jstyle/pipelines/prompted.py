"""Pictures of a text and nothing else, on a model that something learnt may have been put on."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING, Optional

from PIL import Image

from jstyle.events import Evaluated
from jstyle.pictures.spec import PromptedPicture
from jstyle.pipelines.starts import FromNoise, Start

if TYPE_CHECKING:
    from jstyle.pipelines.stable_diffusion import PipelineOutput, PipelineStep, StableDiffusionPipeline


def draw_prompted(
    pipe: StableDiffusionPipeline, spec: PromptedPicture, start: Optional[Start] = None
) -> Generator[Evaluated, None, Image.Image]:
    """The picture, on a pipeline that has the spec's model and adapters, by default from noise."""
    steps = pipe.sample(
        spec.prompt,
        start or FromNoise(spec.height, spec.width),
        steps=spec.steps,
        guidance=spec.guidance,
        negative_prompt=spec.negative_prompt or None,
        eta=spec.eta,
        seeds=spec.seed,
        sampler=spec.sampler,
        sigmas=spec.sigmas,
        reading=spec.reading,
    )
    return (yield from tell_evaluations(steps, "picture")).images[0]


def tell_evaluations(
    steps: Generator[PipelineStep, None, PipelineOutput], stage: str
) -> Generator[Evaluated, None, PipelineOutput]:
    """An event for every step of a sampling; returns what it comes to. Closing it closes the sampling."""
    with closing(steps):
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return end.value
            yield Evaluated(stage, step.evaluations)
