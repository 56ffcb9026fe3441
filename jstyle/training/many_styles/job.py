"""All runs of a training: which are still to be done, doing them, and what each came to."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Sequence

from jstyle.errors import InputError
from jstyle.files import sweep
from jstyle.jobs.code import code_version
from jstyle.jobs.engine import Engine
from jstyle.jobs.task import Outcome, WorkerSpec
from jstyle.training.many_styles import runs
from jstyle.training.many_styles.runs import Run


@dataclass(frozen=True)
class Found:
    """The runs still to be done, and those that are finished; how many of the former were begun, or damaged."""

    todo: Sequence[Run]
    finished: Sequence[Run]
    begun: int
    damaged: int

    @property
    def steps(self) -> int:
        """Updates of the runs still to be done, those counted in that an earlier job has made of them."""
        return sum(run.steps for run in self.todo)

    def summary(self) -> str:
        """One line for people."""
        more = f" ({self.begun} begun, {self.damaged} damaged)" if self.begun or self.damaged else ""
        count = len(self.todo)
        return (
            f"{count + len(self.finished)} styles to teach: {len(self.finished)} finished before, "
            f"{count} to train{more}, {self.steps} training steps"
        )


class Training:
    """Runs below one folder. ``worker`` is the import path of the class that trains, ``packages`` those whose code
    it runs.
    """

    def __init__(self, planned: Sequence[Run], root: Path, worker: str, packages: Sequence[str]) -> None:
        self.runs = list(planned)
        self.root = Path(root)
        self._worker = worker
        self._code = code_version(packages)

    def find(self, *, overwrite: bool) -> Found:
        """Look at every run. Raises InputError, unless ``overwrite``, where a result of another run is in the way."""
        states = {run.place: runs.state(run, self.root) for run in self.runs}
        for run in self.runs:
            if states[run.place] == "other" and not overwrite:
                raise InputError(f"{str(self.root / run.place)!r}: {self._difference(run)}; --overwrite trains it anew")
        finished = [run for run in self.runs if states[run.place] == "finished"]
        todo = [run for run in self.runs if states[run.place] != "finished"]
        several = list(states.values())
        return Found(todo, finished, several.count("begun"), several.count("damaged"))

    def run(self, engine: Engine, todo: Sequence[Run]) -> Iterator[Outcome]:
        """Train these. What another run has left in their places is removed first."""
        sweep(self.root)
        for run in todo:
            if runs.state(run, self.root) == "other":
                shutil.rmtree(self.root / run.place)
        quiet = engine.name == "ray" or bool(
            engine.workers or engine.devices
        )  # several bars would fall over each other
        tasks = [runs.task(run, self.root, self._code) for run in todo]
        yield from engine.run(WorkerSpec(self._worker, {"quiet": quiet}), tasks)

    def log(self, place: str) -> Path:
        """Where a run has written what happened."""
        return self.root / place / runs.LOG

    def _difference(self, run: Run) -> str:
        record = runs.read_record(self.root / run.place) or {}
        then = dict(_flat(record.get("meaning") or {}))
        for key, value in _flat(run.meaning):
            if then.get(key) != value:
                return f"it was trained with {key} = {then.get(key)!r}, not {value!r}"
        return "another run's result is there"


def _flat(meaning: object, prefix: str = "") -> List[tuple]:
    if not isinstance(meaning, dict):
        return [(prefix.lstrip("."), meaning)]
    return [
        pair
        for key, value in meaning.items()
        for pair in _flat(value, prefix if key == "settings" else f"{prefix}.{key}")
    ]
