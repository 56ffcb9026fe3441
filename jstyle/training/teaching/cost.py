"""What is ahead of a training: its updates, and the pictures that it draws on the way."""

from __future__ import annotations

from jstyle.events import Planned
from jstyle.pipelines.cost import CountingPipeline, count_evaluations
from jstyle.pipelines.prompted import draw_prompted
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.training.step_folders import find_latest_step
from jstyle.training.teaching.captioned import list_unfinished, plan_class_pictures
from jstyle.training.teaching.settings import CaptionedSettings, TeachSettings
from jstyle.training.teaching.tuning import draw_validation, is_validation_due


def count_work(pipe: StableDiffusionPipeline, settings: TeachSettings, *, anew: bool = False) -> Planned:
    """What the run in ``settings.output`` has still to do, or with ``anew`` whatever is there; ``pipe`` may be a
    `CountingPipeline` of its model.

    Its pictures are the class's, where it has one; validation sheets are among the evaluations alone.
    """
    counting = pipe if isinstance(pipe, CountingPipeline) else CountingPipeline.like(pipe)
    done, steps = 0 if anew else find_latest_step(settings.output / "checkpoint"), settings.loop.steps
    sheets = sum(is_validation_due(settings, step) for step in range(done + 1, steps + 1))
    evaluations = 0
    if sheets:
        evaluations += sheets * count_evaluations(lambda one: draw_validation(one, settings), counting)
    pictures = unfinished = 0
    if isinstance(settings, CaptionedSettings):
        specs = plan_class_pictures(pipe, settings)
        files = list(specs) if anew else list_unfinished(specs)
        pictures, unfinished = len(specs), len(files)
        if files:  # they differ in their seeds alone
            first = specs[files[0]]
            evaluations += unfinished * count_evaluations(lambda one: draw_prompted(one, first), counting)
    return Planned(pictures, pictures - unfinished, evaluations, max(0, steps - done))
