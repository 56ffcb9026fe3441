"""What the training of a style changed: the same prompts and seeds without and with its result, on one sheet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

from PIL import Image

from jstyle.files import fit_name
from jstyle.jobs.engine import Engine
from jstyle.jobs.task import Outcome, Task, WorkerSpec
from jstyle.pictures import images
from jstyle.pictures.finished import read_state
from jstyle.pictures.sheets import add_caption, draw_grid, write_sheet
from jstyle.pictures.spec import AdapterSpec, PromptedPicture, identify_model
from jstyle.settings.model import ModelSettings
from jstyle.settings.reader import plain
from jstyle.table import load_attribute
from jstyle.training.many_styles.spec import StyleTraining
from jstyle.weights.description import Checkpoint

WORKER = "jstyle.workers.prompted:PromptedPictureWorker"
COUNT_PICTURES = "jstyle.training.many_styles.ahead:count_pictures"
FOLDER = "sheets"
CELL = 160  # pixels
_SIDES = ("before", "after")


@dataclass(frozen=True)
class SidePicture:
    """A picture of one side of a sheet. ``place`` is its file below the folder of all trainings."""

    training: StyleTraining
    spec: PromptedPicture
    place: str


class BeforeAfter:
    """`sheets/NAME.png` below ``root`` for each training that draws validation prompts, and the pictures within."""

    def __init__(
        self, trainings: Sequence[StyleTraining], root: Path, model: ModelSettings, checkpoint: Checkpoint
    ) -> None:
        self._trainings = [
            training for training in trainings if training.teaching.attach and training.settings.validation_prompts
        ]
        self._root = Path(root)
        self._model = model
        self._checkpoint = checkpoint
        self.pictures = [
            picture for training in self._trainings for picture in _plan_pictures(training, model, checkpoint)
        ]

    def list_unfinished(self) -> list[SidePicture]:
        """The pictures that are not there yet, or were made with another result."""
        return [picture for picture in self.pictures if not self._is_finished(picture)]

    def draw_pictures(self, engine: Engine, pictures: Sequence[SidePicture]) -> Iterator[Outcome]:
        """Draw these."""
        tasks = [self._make_task(picture) for picture in pictures]
        return engine.run(WorkerSpec(WORKER, plain(self._model)), tasks)

    def count_evaluations(self, pictures: Sequence[SidePicture]) -> int:
        """The latents that drawing these sends through the UNet."""
        if not pictures:
            return 0
        return load_attribute(COUNT_PICTURES)(self._checkpoint, [picture.spec for picture in pictures])

    def write_sheets(self) -> Iterator[Path]:
        """Write the sheets whose pictures are all there, those of this very training. Gives their files."""
        for training in self._trainings:
            if all(self._is_finished(picture) for picture in self.pictures if picture.training is training):
                prompts = [_fill_prompt(training, text) for text in training.settings.validation_prompts]
                files = [[self._root / _place(training, side, i) for i in range(len(prompts))] for side in _SIDES]
                file = self._root / FOLDER / fit_name(training.style, ".png")
                write_sheet(_compose_sheet(training, prompts, files), file)
                yield file

    def _is_finished(self, picture: SidePicture) -> bool:
        return read_state(self._root / picture.place, picture.spec) == "finished"

    def _make_task(self, picture: SidePicture) -> Task:
        files = {picture.training.identity: str((self._root / picture.training.result).resolve())}
        output = str((self._root / picture.place).resolve())
        data = {"spec": plain(picture.spec), "files": files, "output": output}
        return Task(picture.place, data, _describe_kernels(picture))


def _plan_pictures(training: StyleTraining, model: ModelSettings, checkpoint: Checkpoint) -> Iterator[SidePicture]:
    settings = training.settings
    width, height = checkpoint.size
    learnt = AdapterSpec(training.teaching.name, training.identity)
    for number, text in enumerate(settings.validation_prompts):
        spec = PromptedPicture(
            model=identify_model(model, checkpoint),
            width=settings.width or width,
            height=settings.height or height,
            prompt=_fill_prompt(training, text),
            steps=settings.validation_steps,
            guidance=settings.guidance,
            seed=settings.loop.seed + number,
        )
        for side, adapters in zip(_SIDES, ((), (learnt,))):
            yield SidePicture(training, replace(spec, adapters=adapters), _place(training, side, number))


def _compose_sheet(training: StyleTraining, prompts: Sequence[str], files: Sequence[Sequence[Path]]) -> Image.Image:
    """What was taught above, then the pictures of each prompt, a row a side."""
    taught = [path for path in training.settings.data if path.is_file()][: len(prompts)]
    labelled = [list(zip(taught, (path.stem for path in taught))), *(list(zip(side, prompts)) for side in files)]
    rows: list[list[Optional[Image.Image]]] = [
        [add_caption(images.open_image(path), text, CELL) for path, text in row] for row in labelled
    ]
    return draw_grid([row + [None] * (len(prompts) - len(row)) for row in rows], ("pictures", *_SIDES))


def _describe_kernels(picture: SidePicture) -> str:
    """A digest of all but the text, the seed, and what was learnt, of which the kind of training says enough."""
    spec = plain(replace(picture.spec, prompt="", seed=0, adapters=()))
    text = json.dumps([spec, picture.training.kind if picture.spec.adapters else None], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _place(training: StyleTraining, side: str, number: int) -> str:
    return f"{training.place}/{side}/{number:02d}.png"


def _fill_prompt(training: StyleTraining, text: str) -> str:
    """As the training's own validation reads it: "{token}" is the word that is learnt."""
    return text.replace("{token}", getattr(training.settings, "token", ""))
