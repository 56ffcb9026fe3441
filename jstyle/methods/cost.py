"""What a run costs: told while it runs, and found beforehand by running it where nothing is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from jstyle.methods.events import Evaluated
from jstyle.pipelines.counting import CountingPipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline


class CountingDenoiser(Protocol):
    """A denoiser that knows how many latents have gone through its UNet, as `GuidedDenoiser` does."""

    @property
    def evaluations(self) -> int:
        """All of them, since it was made."""
        ...


class Meter:
    """Reads off a denoiser what has gone through its UNet since the last reading."""

    def __init__(self, stage: str, denoiser: CountingDenoiser) -> None:
        self._stage = stage
        self._denoiser = denoiser
        self._last = denoiser.evaluations

    def read(self) -> Evaluated:
        """The event that a step ends with."""
        before, self._last = self._last, self._denoiser.evaluations
        return Evaluated(self._stage, self._last - before)


def count_evaluations(run: Callable[[StableDiffusionPipeline], Iterable[Any]], pipe: StableDiffusionPipeline) -> int:
    """The latents that ``run(pipe)`` will send through the UNet; what it yields besides `Evaluated` does not matter."""
    counting = pipe if isinstance(pipe, CountingPipeline) else CountingPipeline.like(pipe)
    return sum(event.count for event in run(counting) if isinstance(event, Evaluated))
