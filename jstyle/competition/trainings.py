"""What a recipe wants trained: an adapter for a style, on its references, known before it is there."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jstyle.competition.dataset import Style
from jstyle.competition.recipe import RecipePicture
from jstyle.competition.settings import AdapterSettings
from jstyle.settings.model import ModelSettings
from jstyle.training.many_styles.job import Progress, TrainingJob
from jstyle.training.many_styles.record import read_record
from jstyle.training.many_styles.spec import StyleTraining, plan_training
from jstyle.training.teaching.table import TEACHINGS
from jstyle.weights.description import Checkpoint


@dataclass(frozen=True)
class Trainings:
    """The trainings of a recipe, each once, below the folder ``root``."""

    root: Path
    checkpoint: Checkpoint
    by_adapter: Mapping[str, StyleTraining] = field(default_factory=dict)

    @property
    def all(self) -> list[StyleTraining]:
        """In the order of the pictures that need them."""
        return list(self.by_adapter.values())

    def find(self, style: Style, adapter: AdapterSettings) -> tuple[str, Path]:
        """The identity of a style's training, and the file of its result, which may not be there yet."""
        training = self.by_adapter[_key(style, adapter)]
        return training.identity, self.root / training.result

    @property
    def job(self) -> TrainingJob:
        """What does them."""
        return TrainingJob(self.all, self.root, self.checkpoint)

    def read_progress(self, needed: Collection[str]) -> Progress:
        """How far they are. To do are those whose identity is needed and whose result is not there."""
        progress = self.job.read_progress(overwrite=True)  # places are named by identity, so nothing is in the way
        return replace(progress, todo=[training for training in progress.todo if training.identity in needed])

    def read_records(self) -> dict[str, Any]:
        """What is recorded of each, by its folder."""
        return {run.place: {"identity": run.identity, **(read_record(self.root / run.place) or {})} for run in self.all}


def plan_trainings(
    pictures: Iterable[RecipePicture], model: ModelSettings, checkpoint: Checkpoint, root: Path
) -> Trainings:
    """A training for each adapter of each style that is to be trained."""
    width, height = checkpoint.size
    planned: dict[str, StyleTraining] = {}
    for picture in pictures:
        for adapter in picture.settings.adapters:
            key = _key(picture.style, adapter)
            if adapter.train is not None and key not in planned:
                planned[key] = plan_training(
                    TEACHINGS[adapter.kind],
                    adapter.train,
                    style=picture.style.number,
                    pictures=picture.style.references,
                    model=model,
                    checkpoint=checkpoint,
                    width=width,
                    height=height,
                )
    return Trainings(root, checkpoint, planned)


def _key(style: Style, adapter: AdapterSettings) -> str:
    return json.dumps([style.number, adapter.kind, adapter.train], sort_keys=True)
