"""All trainings of a folder: which are still to be done, doing them, and what each came to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jstyle.errors import InputError
from jstyle.files import sweep
from jstyle.jobs.engine import Engine
from jstyle.jobs.task import Outcome, Task, WorkerSpec
from jstyle.settings.reader import plain
from jstyle.training.many_styles.record import LOG, describe_difference, read_state
from jstyle.training.many_styles.spec import StyleTraining

WORKER = "jstyle.workers.training:TrainingWorker"


@dataclass(frozen=True)
class Progress:
    """The trainings still to be done, and those that are finished; how many of the former were begun, or damaged."""

    todo: Sequence[StyleTraining]
    finished: Sequence[StyleTraining]
    begun: int
    damaged: int

    @property
    def steps(self) -> int:
        """Updates of the trainings still to be done, those counted in that were made of them before."""
        return sum(training.steps for training in self.todo)

    def describe(self) -> str:
        """One line for people."""
        more = f" ({self.begun} begun, {self.damaged} damaged)" if self.begun or self.damaged else ""
        count = len(self.todo)
        return (
            f"{count + len(self.finished)} styles to teach: {len(self.finished)} finished before, "
            f"{count} to train{more}, {self.steps} training steps"
        )


class TrainingJob:
    """Trainings below one folder."""

    def __init__(self, trainings: Sequence[StyleTraining], root: Path) -> None:
        self.trainings = list(trainings)
        self.root = Path(root)

    def read_progress(self, *, overwrite: bool) -> Progress:
        """Look at every training. Raises InputError, unless ``overwrite``, where another one's result is in the way."""
        states = {training.place: read_state(training, self.root) for training in self.trainings}
        for training in self.trainings:
            if states[training.place] == "other" and not overwrite:
                reason = describe_difference(training, self.root)
                raise InputError(f"{str(self.root / training.place)!r}: {reason}; --overwrite trains it anew")
        finished = [training for training in self.trainings if states[training.place] == "finished"]
        todo = [training for training in self.trainings if states[training.place] != "finished"]
        all_states = list(states.values())
        return Progress(todo, finished, all_states.count("begun"), all_states.count("damaged"))

    def train(self, engine: Engine, todo: Sequence[StyleTraining]) -> Iterator[Outcome]:
        """Train these. What another training has left in their places is removed first."""
        sweep(self.root)
        for training in todo:
            if read_state(training, self.root) == "other":
                shutil.rmtree(self.root / training.place)
        # several bars would fall over each other
        quiet = engine.name == "ray" or bool(engine.workers or engine.devices)
        yield from engine.run(WorkerSpec(WORKER, {"quiet": quiet}), [self._make_task(one) for one in todo])

    def find_log(self, place: str) -> Path:
        """Where a training has written what happened."""
        return self.root / place / LOG

    def _make_task(self, training: StyleTraining) -> Task:
        """Plain data for a worker: the spec, its result to be written below the root."""
        settings = replace(training.settings, output=(self.root / training.place).resolve())
        return Task(training.place, plain(replace(training.spec, settings=settings)), training.kind)
