"""What is ahead of many styles, counted on a pipeline that only counts; loaded when a plan asks for it."""

from __future__ import annotations

from collections.abc import Sequence

from jstyle.events import Planned
from jstyle.pictures.spec import PromptedPicture
from jstyle.pipelines.cost import CountingPipeline, count_evaluations
from jstyle.pipelines.prompted import draw_prompted
from jstyle.training.teaching.cost import count_work
from jstyle.training.teaching.settings import TeachSettings
from jstyle.weights.description import Checkpoint


def count_trainings(checkpoint: Checkpoint, trainings: Sequence[tuple[TeachSettings, bool]]) -> list[Planned]:
    """What each training has still to do; the flag says that it begins anew whatever is there."""
    counting = CountingPipeline.of_checkpoint(checkpoint)
    return [count_work(counting, settings, anew=anew) for settings, anew in trainings]


def count_pictures(checkpoint: Checkpoint, specs: Sequence[PromptedPicture]) -> int:
    """The latents that drawing these sends through the UNet."""
    counting = CountingPipeline.of_checkpoint(checkpoint)
    each: dict[tuple[object, ...], int] = {}
    total = 0
    for spec in specs:
        key = spec.steps, spec.guidance, spec.sampler
        if key not in each:
            each[key] = count_evaluations(lambda pipe, spec=spec: draw_prompted(pipe, spec), counting)
        total += each[key]
    return total
