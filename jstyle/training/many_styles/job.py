"""All trainings of a folder: which are still to be done, doing them, and what each came to."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Union

from jstyle.errors import InputError
from jstyle.events import Event, Failure, PictureWritten, Planned, StyleTaught, Updated
from jstyle.files import sweep
from jstyle.jobs.engine import Engine
from jstyle.jobs.task import Done, Failed, Outcome, Task, WorkerSpec
from jstyle.settings.reader import plain
from jstyle.training.many_styles.record import LOG, describe_difference, read_state
from jstyle.training.many_styles.spec import StyleTraining

WORKER = "jstyle.workers.training:TrainingWorker"


@dataclass(frozen=True)
class Progress:
    """The trainings still to be done, and those that are finished; how many of the former were begun, go on from a
    shorter run, or are damaged.
    """

    todo: Sequence[StyleTraining]
    finished: Sequence[StyleTraining]
    begun: int
    damaged: int
    shorter: int = 0

    @property
    def steps(self) -> int:
        """Updates of the trainings still to be done, those counted in that were made of them before."""
        return sum(training.steps for training in self.todo)

    def describe(self) -> str:
        """One line for people."""
        counts = {"begun": self.begun, "to make longer": self.shorter, "damaged": self.damaged}
        told = ", ".join(f"{number} {what}" for what, number in counts.items() if number)
        more = f" ({told})" if told else ""
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
        count = list(states.values()).count
        return Progress(todo, finished, count("begun"), count("damaged"), count("shorter"))

    def run(self, engine: Engine, todo: Sequence[StyleTraining]) -> Generator[Event, None, list[StyleTraining]]:
        """Train these; the bar counts their updates. Returns those that have failed.

        What another training has left in their places is removed first. Closing the run ends its workers, which write
        checkpoints.
        """
        failed: list[StyleTraining] = []
        if not todo:
            return failed
        yield Planned(updates=sum(training.steps for training in todo))
        trainings = {training.place: training for training in todo}
        done = 0  # updates of the training that runs in this process, if one does
        with closing(self._run_tasks(engine, todo)) as events:
            for event in events:
                if isinstance(event, (Updated, PictureWritten)):
                    done += event.count if isinstance(event, Updated) else 0
                    yield event
                elif isinstance(event, (Done, Failed)):
                    training = trainings[event.task.name]
                    yield Updated(training.place, training.steps - done)
                    done = 0
                    yield self._describe_end(training, event)
                    failed += [training] if isinstance(event, Failed) else []
        return failed

    def _describe_end(self, training: StyleTraining, outcome: Outcome) -> Event:
        if isinstance(outcome, Done):
            return StyleTaught(training.style, self.root / training.result)
        return Failure(training.place, f"{outcome.error}; see {self.find_log(training.place)}")

    def _run_tasks(self, engine: Engine, todo: Sequence[StyleTraining]) -> Generator[Union[Event, Outcome], None, None]:
        sweep(self.root)
        for training in todo:
            if read_state(training, self.root) == "other":
                shutil.rmtree(self.root / training.place)
        # what other processes print would run into the bar
        quiet = engine.name == "ray" or bool(engine.workers or engine.devices)
        tasks = [self._make_task(training) for training in todo]
        return engine.run_telling(WorkerSpec(WORKER, {"quiet": quiet}), tasks)

    def find_log(self, place: str) -> Path:
        """Where a training has written what happened."""
        return self.root / place / LOG

    def _make_task(self, training: StyleTraining) -> Task:
        """Plain data for a worker: the spec, its result to be written below the root."""
        settings = replace(training.settings, output=(self.root / training.place).resolve())
        return Task(training.place, plain(replace(training.spec, settings=settings)), training.kind)
