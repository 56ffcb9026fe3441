"""What the training of a style changed: the same prompts and seeds without and with its result, on one sheet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence

from jstyle.competition.settings import Model
from jstyle.jobs.code import code_version
from jstyle.jobs.engine import Engine
from jstyle.jobs.task import Outcome, Task, WorkerSpec
from jstyle.pictures import finished as pictures
from jstyle.pictures import images
from jstyle.pictures.captions import captioned
from jstyle.training.many_styles.runs import Run
from jstyle.weights.description import Checkpoint

FOLDER = "sheets"
CELL = 160  # pixels
_SIDES = ("before", "after")


class BeforeAfter:
    """`sheets/NAME.png` below ``root`` for each run that draws validation prompts, and the pictures it is made of.

    ``worker`` is the import path of the class that makes pictures, ``packages`` are those whose code it runs.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        root: Path,
        model: Model,
        checkpoint: Checkpoint,
        worker: str,
        packages: Sequence[str],
    ) -> None:
        self._runs = [run for run in runs if run.adapter is not None and run.settings.validation_prompts]
        self._root = Path(root)
        code = code_version(packages)
        made = [task for run in self._runs for task in _tasks(run, self._root, model, checkpoint)]
        self._tasks = [replace(task, data={**task.data, "code": code}) for task in made]
        self._spec = WorkerSpec(worker, model.loading())

    def todo(self) -> List[Task]:
        """The pictures that are not there yet, or were made with another result."""
        return [
            task
            for task in self._tasks
            if pictures.state(Path(task.data["output"]), task.data["meaning"]) != "finished"
        ]

    def run(self, engine: Engine, todo: Sequence[Task]) -> Iterator[Outcome]:
        """Make the pictures, then the sheets."""
        yield from engine.run(self._spec, todo)
        for run in self._runs:
            self._draw(run)

    def _draw(self, run: Run) -> None:
        """References above, then each prompt without and with what was learnt."""
        own = [path for path in run.settings.data if path.is_file()]
        prompts = [_prompt(run, text) for text in run.settings.validation_prompts]
        rows: List[List[Any]] = [[captioned(images.open_image(path), path.stem, CELL) for path in own[: len(prompts)]]]
        for side in _SIDES:
            paths = [self._root / _place(run, side, number) for number in range(len(prompts))]
            if not all(path.is_file() for path in paths):
                return
            rows.append([captioned(images.open_image(path), text, CELL) for path, text in zip(paths, prompts)])
        rows = [row + [None] * (max(map(len, rows)) - len(row)) for row in rows]
        (self._root / FOLDER).mkdir(parents=True, exist_ok=True)
        images.save_png(images.grid(rows, ("pictures", *_SIDES)), self._root / FOLDER / f"{run.style}.png")


def _tasks(run: Run, root: Path, model: Model, checkpoint: Checkpoint) -> Iterator[Task]:
    settings = run.settings
    width, height = checkpoint.size
    for number, text in enumerate(settings.validation_prompts):
        meaning: Dict[str, Any] = {
            "method": "before and after",
            "model_hash": checkpoint.hash,
            "precision": model.precision,
            "backend": model.backend,
            "width": settings.width or width,
            "height": settings.height or height,
            "prompt": _prompt(run, text),
            "negative_prompt": "",
            "sampler": None,
            "steps": settings.validation_steps,
            "guidance": settings.guidance,
            "eta": 0.0,
            "seed": settings.loop.seed + number,
            "start": None,
            "finish": None,
            "set": None,
        }
        with_it = [{"kind": run.adapter, "trained": run.identity, "weight": 1.0}]
        for side, adapters in zip(_SIDES, ([], with_it)):
            place = _place(run, side, number)
            data = {
                "meaning": {**meaning, "adapters": adapters},
                "files": {run.identity: str((root / run.result).resolve())},
                "output": str((root / place).resolve()),
            }
            yield Task(place, data, f"{side} {run.method} {checkpoint.hash} {meaning['width']}x{meaning['height']}")


def _place(run: Run, side: str, number: int) -> str:
    return f"{run.place}/{side}/{number:02d}.png"


def _prompt(run: Run, text: str) -> str:
    """As the trainer's own validation reads it: "{token}" is the word that is learnt."""
    return text.replace("{token}", getattr(run.settings, "token", ""))
