"""What a run costs: found by running it where nothing is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from jstyle.methods.events import Evaluated
from jstyle.pipelines.counting import CountingPipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline


def count_evaluations(run: Callable[[StableDiffusionPipeline], Iterable[Any]], pipe: StableDiffusionPipeline) -> int:
    """The latents that ``run(pipe)`` will send through the UNet; what it yields besides `Evaluated` does not matter."""
    counting = pipe if isinstance(pipe, CountingPipeline) else CountingPipeline.like(pipe)
    return sum(event.count for event in run(counting) if isinstance(event, Evaluated))
