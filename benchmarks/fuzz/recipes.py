"""Recipes of submissions and of trainings, spoilt: python -m benchmarks.fuzz.recipes --inputs 10000"""

from __future__ import annotations

import random
import sys
import tempfile
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.fuzz import trials
from benchmarks.fuzz.spoiling import draw_mapping, spoil_text, write_as_yaml
from benchmarks.options import ROOT
from jstyle.competition.dataset import Dataset, Style
from jstyle.competition.recipe import lay_over, load_recipe
from jstyle.competition.settings import FinishSettings, PictureSettings, RecipeModel, SetSettings, StartSettings
from jstyle.methods.table import METHODS
from jstyle.settings.fields import level_fields
from jstyle.training.many_styles.folders import StylePictures
from jstyle.training.many_styles.recipe import plan_trainings, read_recipe
from jstyle.training.teaching.table import TEACHINGS

MOST_LINES = 60
PICTURE = ROOT / "samples" / "style" / "woodcut.png"
DATASET = Dataset(
    ROOT,
    (
        Style("00", (PICTURE,), ("Dolphin", "Lion")),
        Style("07", (PICTURE, PICTURE), ("Boat", "Ice cream", "Lion")),
    ),
)
SAMPLES = [path.read_bytes() for path in sorted((ROOT / "configs").glob("submission*.yaml"))]
SAMPLES += [(ROOT / "configs" / "train_style.yaml").read_bytes()]
SAMPLES += [
    b'picture: {steps: 4, seed: 3}\nstyles:\n  "07": {guidance: 5, prompts: {Boat: {seed: 3}, Lion: {steps: 9}}}\n',
    b'lora: {rank: 3}\nstyles:\n  "07": {lora: {loop: {steps: 5}}, flip: true}\nbases: {b: {width: 64}}\n',
]
NAMES = [
    "picture",
    "styles",
    "bases",
    "prompts",
    "00",
    "07",
    "Lion",
    "Boat",
    "settings",
    "train",
    "file",
    "kind",
    "loop",
]
NAMES += [name for kind in (PictureSettings, FinishSettings, SetSettings, StartSettings) for name in level_fields(kind)]
NAMES += ["file", "kind", "loop", *level_fields(RecipeModel), *METHODS, *TEACHINGS]
NAMES += [field.name for entry in (*METHODS.values(), *TEACHINGS.values()) for field in fields(entry.settings)]


MODEL: Any = SimpleNamespace(model_hash="0" * 64, configuration="1" * 64)
"""What trainings ask of a model."""


def draw(chance: random.Random) -> bytes:
    """A spoilt recipe, or one of known names with anything behind them."""
    return spoil_text(chance, SAMPLES) if chance.random() < 0.6 else write_as_yaml(draw_mapping(chance, NAMES))


def read(content: bytes) -> None:
    """Read a recipe of either kind, and lay it over a dataset. What one kind refuses the other may take."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "recipe.yaml"
        file.write_bytes(content)
        try:
            recipe = load_recipe(file)
        except trials.InputError:
            _read_trainings(file)
        else:
            pictures, findings = lay_over(recipe, DATASET, (512, 512))
            trials.fail_lines([*findings.errors, *findings.remarks], MOST_LINES)
            findings.raise_errors()
            _ = [picture.text.encode("utf-8") for picture in pictures]


def _read_trainings(file: Path) -> None:
    recipe = read_recipe(file)
    styles = [StylePictures(name, (PICTURE,)) for name in ("00", "07")]
    for teaching in TEACHINGS.values():
        plan_trainings(recipe, styles, teaching, MODEL, {})


if __name__ == "__main__":
    sys.exit(trials.main(__doc__, draw, read))
