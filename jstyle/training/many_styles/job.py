"""All trainings of a folder: which are still to be done, doing them, and what each came to."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Union

from jstyle.errors import InputError
from jstyle.events import Evaluated, Event, Failure, PictureWritten, Planned, StyleTaught, Updated
from jstyle.jobs.engine import Engine
from jstyle.jobs.task import Done, Failed, Outcome, Task, WorkerSpec
from jstyle.settings.reader import plain
from jstyle.table import load_attribute
from jstyle.training.many_styles.record import LOG, describe_difference, read_state
from jstyle.training.many_styles.spec import StyleTraining, TrainingSpec
from jstyle.training.many_styles.times import TrainingTimes
from jstyle.weights.description import Checkpoint

WORKER = "jstyle.workers.training:TrainingWorker"
COUNT_WORK = "jstyle.training.many_styles.ahead:count_trainings"


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

    def describe(self, work: Planned) -> str:
        """One line for people; ``work`` is all that is ahead of the trainings still to be done."""
        counts = {"begun": self.begun, "to make longer": self.shorter, "damaged": self.damaged}
        told = ", ".join(f"{number} {what}" for what, number in counts.items() if number)
        more = f" ({told})" if told else ""
        count = len(self.todo)
        return (
            f"{count + len(self.finished)} styles to teach: {len(self.finished)} finished before, "
            f"{count} to train{more}, {work.updates} training steps"
            + (f", {work.evaluations} UNet evaluations for the pictures drawn meanwhile" if work.evaluations else "")
        )


class TrainingJob:
    """Trainings of one model below one folder."""

    def __init__(self, trainings: Sequence[StyleTraining], root: Path, checkpoint: Checkpoint) -> None:
        self.trainings = list(trainings)
        self.root = Path(root)
        self._checkpoint = checkpoint

    def plan_work(self, todo: Sequence[StyleTraining]) -> list[tuple[StyleTraining, Planned]]:
        """What is ahead of each: updates, and evaluations for the pictures that it draws on the way."""
        if not todo:
            return []
        others = [training for training in todo if read_state(training, self.root) == "other"]  # which are removed
        placed = [(self._place(training).settings, training in others) for training in todo]
        return list(zip(todo, load_attribute(COUNT_WORK)(self._checkpoint, placed)))

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
        self._clear(todo)
        work = self.plan_work(todo)
        yield add_up(ahead for _, ahead in work)
        trainings = {training.place: (training, ahead) for training, ahead in work}
        told, times = _Told(), TrainingTimes(len(engine.devices) or engine.workers)
        try:
            with closing(self._run_tasks(engine, todo)) as events:
                for event in events:
                    if isinstance(event, (Updated, Evaluated, PictureWritten)):
                        told.note(event)
                        yield event
                    elif isinstance(event, (Done, Failed)):
                        training, ahead = trainings[event.task.name]
                        yield from told.fill_up(training.place, ahead)
                        if isinstance(event, Done):
                            times.add(training, event.result["pace"])
                        else:
                            failed.append(training)
                        yield self._describe_end(training, event)
        finally:
            times.save()
        return failed

    def _describe_end(self, training: StyleTraining, outcome: Outcome) -> Event:
        if isinstance(outcome, Done):
            return StyleTaught(training.style, self.root / training.result)
        return Failure(training.place, f"{outcome.error}; see {self.find_log(training.place)}")

    def _clear(self, todo: Sequence[StyleTraining]) -> None:
        """Remove what other trainings have left."""
        for training in todo:
            if read_state(training, self.root) == "other":
                shutil.rmtree(self.root / training.place)

    def _run_tasks(self, engine: Engine, todo: Sequence[StyleTraining]) -> Generator[Union[Event, Outcome], None, None]:
        # what other processes print would run into the bar
        quiet = engine.name == "ray" or bool(engine.workers or engine.devices)
        tasks = [self._make_task(training) for training in todo]
        return engine.run_telling(WorkerSpec(WORKER, {"quiet": quiet}), tasks)

    def find_log(self, place: str) -> Path:
        """Where a training has written what happened."""
        return self.root / place / LOG

    def _make_task(self, training: StyleTraining) -> Task:
        """Plain data for a worker: the spec, its result to be written below the root."""
        return Task(training.place, plain(self._place(training)), training.kind)

    def _place(self, training: StyleTraining) -> TrainingSpec:
        """The spec with the folder of its result."""
        settings = replace(training.settings, output=(self.root / training.place).resolve())
        return replace(training.spec, settings=settings)


class _Told:
    """What the training that runs in this process, if one does, has told of its work."""

    def __init__(self) -> None:
        self._updates = self._evaluations = 0

    def note(self, event: Event) -> None:
        """One of its events."""
        self._updates += event.count if isinstance(event, Updated) else 0
        self._evaluations += event.count if isinstance(event, Evaluated) else 0

    def fill_up(self, place: str, ahead: Planned) -> Iterator[Event]:
        """It has ended: what was ahead of it and not told, so that the bar comes to its end. The next one follows."""
        yield Updated(place, ahead.updates - self._updates)
        if ahead.evaluations != self._evaluations:
            yield Evaluated(place, ahead.evaluations - self._evaluations)
        self._updates = self._evaluations = 0


def add_up(work: Iterable[Planned]) -> Planned:
    """Updates and evaluations of all together."""
    parts = list(work)
    return Planned(updates=sum(one.updates for one in parts), evaluations=sum(one.evaluations for one in parts))
