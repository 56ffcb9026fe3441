"""The whole job: which pictures are still to be made, making them, checking, packing, and proving it again."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Collection, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from jstyle.competition import submission
from jstyle.competition.dataset import Style
from jstyle.competition.plan import Plan
from jstyle.competition.settings import Adapter
from jstyle.competition.sheets import Sheets
from jstyle.competition.tasks import tasks
from jstyle.errors import InputError
from jstyle.files import hash_files, sweep, write_text
from jstyle.jobs.code import code_version
from jstyle.jobs.engine import Engine
from jstyle.jobs.task import Done, Outcome, Task, WorkerSpec
from jstyle.pictures import finished as pictures
from jstyle.pictures import images
from jstyle.training.many_styles import job as trained
from jstyle.training.many_styles import runs
from jstyle.training.many_styles.job import Training

TRAINED = "trained"  # the folder of what a recipe wants trained


@dataclass(frozen=True)
class Found:
    """The tasks that are still to be done, and what is there: finished pictures, and how many are damaged."""

    todo: Sequence[Task]
    finished: Sequence[Task]
    damaged: int
    by_other_code: int


@dataclass(frozen=True)
class Comparison:
    """A picture that was made again: whether its pixels are the same, and by how much (of 255) they differ at most."""

    name: str
    equal: bool
    difference: int


class Job:
    """A submission in a folder: ``pictures/NN/<Prompt>.png``, ``sheets/NN.png``, ``manifest.json``; ``trained``
    holds what was trained for it.

    ``worker`` is the import path of the class that makes a picture, ``trainer`` of the one that trains what the recipe
    wants trained; ``packages`` are those whose code they run.
    """

    def __init__(
        self, plan: Plan, worker: str, packages: Sequence[str], folder: Path, trainer: Optional[str] = None
    ) -> None:
        model = plan.recipe.model
        self.folder = Path(folder)
        self.pictures = self.folder / "pictures"
        self._plan = plan
        self._code = code_version(packages)
        made = tasks(
            plan.pictures, model, plan.checkpoint.hash, plan.checkpoint.size, self.pictures, trained=self._trained
        )
        self.training = Training(list(plan.trained.values()), self.folder / TRAINED, trainer or "", packages)
        self.tasks = [replace(task, data={**task.data, "code": self._code}) for task in made]
        self._spec = WorkerSpec(worker, model.loading())
        self._sheets = Sheets(self.folder / "sheets", self.pictures, plan.dataset)

    def find(self, *, overwrite: bool) -> Found:
        """Look at every picture that is there.

        Raises InputError, unless ``overwrite``, where one was made with other settings or is not of this job.
        """
        todo, finished, damaged, by_other_code = [], [], 0, 0
        for task in self.tasks:
            path = Path(task.data["output"])
            state = pictures.state(path, task.data["meaning"])
            if state == "other" and not overwrite:
                raise InputError(f"{str(path)!r}: {_difference(path, task)}; --overwrite makes it again")
            (finished if state == "finished" else todo).append(task)
            damaged += state == "damaged"
            by_other_code += state == "finished" and (images.read_metadata(path) or {}).get("code") != self._code
        return Found(todo, finished, damaged, by_other_code)

    def to_train(self, found: Found) -> trained.Found:
        """The runs whose results the pictures that are still to be made need, as they are on disk."""
        needed = {one["trained"] for task in found.todo for one in task.data["meaning"]["adapters"] if "trained" in one}
        there = self.training.find(overwrite=True)  # places are named by identity, so nothing is in the way
        todo = [run for run in there.todo if run.identity in needed]
        return replace(there, todo=todo)

    def without(self, found: Found, failed: Collection[str]) -> Found:
        """The same, less the pictures that need a run, by its place, that has failed."""
        missing = {run.identity for run in self.training.runs if run.place in failed}

        def can(task: Task) -> bool:
            return not any(one.get("trained") in missing for one in task.data["meaning"]["adapters"])

        return replace(found, todo=[task for task in found.todo if can(task)])

    def run(self, engine: Engine, found: Found) -> Iterator[Outcome]:
        """Make what is still to be made; the styles' sheets are renewed as pictures come."""
        sweep(self.folder)
        for task in found.finished:
            self._sheets.add(task.name)
        for outcome in engine.run(self._spec, found.todo):
            if isinstance(outcome, Done):
                self._sheets.add(outcome.task.name)
            yield outcome
        self._sheets.draw()

    def finish(self, archive: Optional[Path], *, folder_in_zip: str = "") -> List[str]:
        """Write the manifest and, where everything is there and right, the zip. Returns what is wrong.

        Without ``archive`` nothing is packed, and folders of other styles are not looked at.
        """
        self._write_manifest()
        dataset, size = self._plan.dataset, self._plan.checkpoint.size
        errors = submission.check(self.pictures, dataset, size=size, partial=archive is None).errors
        if archive is not None and not errors:
            submission.pack(self.pictures, dataset, archive, folder=folder_in_zip)
        return errors

    def verify(self, engine: Engine, count: int) -> Iterator[Comparison]:
        """Make ``count`` of the pictures again, elsewhere, and compare. The choice is the same each time.

        Raises InputError where a picture is missing, or cannot be made again.
        """
        chosen = random.Random(0).sample(self.tasks, min(count, len(self.tasks)))
        place = self.folder / "verify"
        again = [replace(task, data={**task.data, "output": str(place.resolve() / task.name)}) for task in chosen]
        try:
            for outcome in engine.run(self._spec, again):
                if not isinstance(outcome, Done):
                    raise InputError(f"{outcome.task.name} cannot be made again: {outcome.error}")
                yield self._compared(outcome.task.name, place / outcome.task.name)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _compared(self, name: str, again: Path) -> Comparison:
        first, second = (images.open_image(path) for path in (self.pictures / name, again))
        if first.size != second.size:
            return Comparison(name, False, 255)
        difference = np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16))
        return Comparison(name, not difference.any(), int(difference.max()))

    def _write_manifest(self) -> None:
        made: Dict[str, Any] = {}
        for task in self.tasks:
            path = Path(task.data["output"])
            metadata = pictures.intact(path)
            if metadata is not None:
                own = {key: metadata.get(key) for key in ("prompt", "seed", "code", "pixels")}
                made[task.name] = {**own, "file": hash_files([path])}
        taught = {
            run.place: {"identity": run.identity, **(runs.read_record(self.training.root / run.place) or {})}
            for run in self.training.runs
        }
        content = {**self._plan.about(), "code": self._code, "complete": len(made) == len(self.tasks), "pictures": made}
        content.update({"trained": taught} if taught else {})
        write_text(self.folder / "manifest.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def _trained(self, style: Style, adapter: Adapter) -> Tuple[str, Path]:
        run = self._plan.run_of(style, adapter)
        return run.identity, self.folder / TRAINED / run.result


def _difference(path: Path, task: Task) -> str:
    """The first setting that a picture was made with and should not have been."""
    metadata = images.read_metadata(path)
    if metadata is None:
        return "that picture is not of this job"
    for key, value in json.loads(json.dumps(task.data["meaning"])).items():
        if metadata.get(key) != value:
            return f"it was made with {key} = {metadata.get(key)!r}, not {value!r}"
    return "that picture is not of this job"
