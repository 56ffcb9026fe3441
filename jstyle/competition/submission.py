"""A submission's folder: which pictures are finished, making the others, checking, packing, and proving them."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional

import numpy as np

from jstyle.competition.archive import check_pictures, pack_pictures
from jstyle.competition.plan import PICTURES, SubmissionPlan
from jstyle.competition.sheets import StyleSheets
from jstyle.competition.tasks import PictureTask
from jstyle.errors import InputError
from jstyle.events import closing
from jstyle.files import hash_files, read_code_version, write_text
from jstyle.jobs.engine import Engine
from jstyle.jobs.task import Done, Outcome, WorkerSpec
from jstyle.pictures import images, png_texts
from jstyle.pictures.finished import describe_other, read_state
from jstyle.settings.reader import plain

WORKER = "jstyle.workers.pictures:PictureWorker"


@dataclass(frozen=True)
class Progress:
    """Which pictures are still to be made, and which are there; how many of the former are damaged, and of the latter
    of another version of the code.
    """

    unfinished: Sequence[PictureTask]
    finished: Sequence[PictureTask]
    damaged: int = 0
    by_other_code: int = 0

    def list_adapters(self) -> set[str]:
        """The identities of what unfinished pictures have on their model."""
        return {adapter.identity for task in self.unfinished for adapter in task.spec.adapters}

    def without(self, identities: Collection[str]) -> Progress:
        """The same, less the unfinished pictures that need one of these trainings, which have failed."""

        def can_be_made(task: PictureTask) -> bool:
            return not any(adapter.identity in identities for adapter in task.spec.adapters)

        return replace(self, unfinished=[task for task in self.unfinished if can_be_made(task)])


@dataclass(frozen=True)
class Comparison:
    """A picture that was made again: whether its pixels are the same, and by how much (of 255) they differ at most."""

    name: str
    equal: bool
    difference: int


class Submission:
    """``pictures/NN/<Prompt>.png``, ``sheets/NN.png`` and ``manifest.json`` below a folder."""

    def __init__(self, plan: SubmissionPlan, folder: Path) -> None:
        self.folder = folder
        self.pictures = folder / PICTURES
        self._plan = plan
        self._worker = WorkerSpec(WORKER, plain(plan.recipe.model.model))
        self._sheets = StyleSheets(folder / "sheets", self.pictures, plan.dataset)

    def read_progress(self, *, overwrite: bool) -> Progress:
        """Look at every picture that is there.

        Raises InputError, unless ``overwrite``, where a picture was made with other settings, or it or a sheet's file
        is not of this submission.
        """
        if not overwrite:
            self._sheets.check()
        unfinished, finished, damaged, by_other_code = [], [], 0, 0
        for task in self._plan.tasks:
            state = read_state(task.output, task.spec)
            if state == "other" and not overwrite:
                raise InputError(f"{describe_other(task.output, task.spec)}; --overwrite makes it again")
            (finished if state == "finished" else unfinished).append(task)
            damaged += state == "damaged"
            by_other_code += state == "finished" and _code_of(task.output) != read_code_version()
        return Progress(unfinished, finished, damaged, by_other_code)

    def make(self, engine: Engine, progress: Progress) -> Iterator[Outcome]:
        """Make what is unfinished; the styles' sheets are renewed as pictures come."""
        for task in progress.finished:
            self._sheets.add(task.name)
        with closing(engine.run(self._worker, [task.to_task() for task in progress.unfinished])) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome, Done):
                    self._sheets.add(outcome.task.name)
                yield outcome
        self._sheets.draw()

    def check(self, *, partial: bool) -> list[str]:
        """What is wrong with the pictures' folder. ``partial`` does not look at folders of other styles."""
        size = self._plan.checkpoint.size
        return check_pictures(self.pictures, self._plan.dataset, size=size, partial=partial).errors

    def pack(self, archive: Path, *, folder: str = "") -> None:
        """Write the zip, everything below ``folder`` in it. Raises InputError where a picture is missing."""
        pack_pictures(self.pictures, self._plan.dataset, archive, folder=folder)

    def write_manifest(self) -> None:
        """What the whole is made of, and what each finished picture is."""
        made: dict[str, Any] = {}
        for task in self._plan.tasks:
            if read_state(task.output, task.spec) == "finished":
                about = png_texts.read_metadata(task.output) or {}
                made[task.name] = {
                    "prompt": task.spec.prompt,
                    "seed": task.spec.seed,
                    **{key: about.get(key) for key in ("identity", "code", "pixels")},
                    "file": hash_files([task.output]),
                }
        trained = self._plan.trainings.read_records()
        content = {
            **self._plan.describe_whole(),
            "code": read_code_version(),
            "complete": len(made) == len(self._plan.tasks),
            "pictures": made,
            **({"trained": trained} if trained else {}),
        }
        write_text(self.folder / "manifest.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def verify(self, engine: Engine, count: int) -> Iterator[Comparison]:
        """Make ``count`` of the finished pictures again, elsewhere, and compare. The choice is the same each time.

        Raises InputError before anything is made where none is finished or one was made with other settings, and where
        a picture cannot be made again.
        """
        finished = self.read_progress(overwrite=False).finished
        if not finished:
            raise InputError(
                f"no picture is finished in {str(self.pictures)!r}: run the command without --verify first"
            )
        tasks = random.Random(0).sample(finished, min(count, len(finished)))
        place = self.folder / "verify"
        again = [replace(task, output=place / task.name).to_task() for task in tasks]
        try:
            with closing(engine.run(self._worker, again)) as outcomes:
                for outcome in outcomes:
                    if not isinstance(outcome, Done):
                        raise InputError(f"{outcome.task.name} cannot be made again: {outcome.error}")
                    yield self._compare(outcome.task.name, place / outcome.task.name)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _compare(self, name: str, again: Path) -> Comparison:
        first, second = (images.open_image(path) for path in (self.pictures / name, again))
        if first.size != second.size:
            return Comparison(name, False, 255)
        difference = np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16))
        return Comparison(name, not difference.any(), int(difference.max()))


def _code_of(path: Path) -> Optional[object]:
    """The version of the code that made a picture."""
    return (png_texts.read_metadata(path) or {}).get("code")
