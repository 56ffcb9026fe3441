"""A sampler's run whose denoiser is its caller: each output of a network that is handed in takes it one step on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Optional

from jstyle.diffusion.samplers import Sampler, Step, Steps
from jstyle.diffusion.schedule import Level, Prediction, Schedule, to_prediction
from jstyle.runtime import jt


class DrivenRun:
    """One run of a sampler from level ``start`` of ``steps`` on; ``levels`` are those of its calls."""

    def __init__(
        self, sampler: Sampler, schedule: Schedule, steps: int, start: int, spacing: Optional[str], eta: float
    ) -> None:
        self.eta = eta
        self.levels: Sequence[Level] = sampler.list_calls(schedule, steps, start=start, spacing=spacing)
        self.taken = 0
        options: dict[str, Any] = {"start": start, "spacing": spacing, "eta": eta, "noise": self._draw_noise}
        self._begin: Callable[[jt.Var], Steps] = lambda x: sampler(self._answer, x, schedule, steps, **options)
        self._prediction_type = schedule.prediction_type
        self._run: Optional[Steps] = None

    @property
    def level(self) -> Optional[Level]:
        """The level whose output is awaited, at which x stands; None after the last."""
        return self.levels[self.taken] if self.taken < len(self.levels) else None

    def take(self, output: jt.Var, x: jt.Var, draw: Callable[[int], jt.Var]) -> Step:
        """Go on from x, wherever the caller has brought it, with the network's output for it.

        ``draw`` draws a step's noise.
        """
        self._output, self._draw = output, draw
        if self._run is None:
            self._run = self._begin(x)
            step = next(self._run)
        else:
            step = self._run.send(x)
        self.taken += 1
        return step

    def _draw_noise(self, index: int) -> jt.Var:
        return self._draw(index)

    def _answer(self, x: jt.Var, level: Level, step: int) -> Prediction:
        return to_prediction(self._output, x, level.alpha_bar, self._prediction_type)
