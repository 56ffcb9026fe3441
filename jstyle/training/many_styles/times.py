"""How long trainings take on this machine, as earlier ones of their kind measured it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Optional

from jstyle.events import Evaluated, Planned, Updated
from jstyle.jobs.step_times import StepTimes
from jstyle.pace import Pace
from jstyle.training.many_styles.spec import StyleTraining

_KINDS = {"update": Updated, "evaluation": Evaluated}


def describe_pace(pace: Pace) -> dict[str, Optional[float]]:
    """Seconds for an update and an evaluation as plain data, None where there was none."""
    return {name: pace.read(kind) for name, kind in _KINDS.items()}


class TrainingTimes:
    """Reads and keeps them by kind of training and number of ``workers``."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._added: dict[str, StepTimes] = {}

    def add(self, training: StyleTraining, measured: Mapping[str, Any]) -> None:
        """What `describe_pace` says of a training that a worker has finished."""
        for name in _KINDS:
            seconds = measured.get(name)
            if seconds:
                self._open(training, name).add(seconds, 1)

    def save(self) -> None:
        """Keep what was added."""
        for times in self._added.values():
            times.save()

    def estimate(self, work: Iterable[tuple[StyleTraining, Planned]]) -> Optional[float]:
        """Seconds for what is ahead of these on all workers together, None where a part was never measured."""
        total = 0.0
        for training, ahead in work:
            for name, count in (("update", ahead.updates), ("evaluation", ahead.evaluations)):
                seconds = self._open(training, name).read() if count else 0.0
                if seconds is None:
                    return None
                total += count * seconds
        return total / max(1, self._workers)

    def _open(self, training: StyleTraining, name: str) -> StepTimes:
        subject = f"{name} of {training.spec.teaching} {training.kind}"
        return self._added.setdefault(subject, StepTimes(subject, self._workers))
