"""Trainings of a second on the goldens' tiny networks."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import pytest

from jstyle.training.many_styles import folders as styles
from jstyle.training.many_styles import recipe as recipes
from jstyle.training.many_styles.job import Training
from jstyle.weights.description import describe
from jstyle.workers.pictures import PACKAGES
from jstyle.workers.training import METHODS, TRAINER
from tests.parity.networks import GOLDEN

ROOT = Path(__file__).resolve().parents[3]
MODEL = GOLDEN / "diffusers_folder"
sys.path.insert(0, str(ROOT / "scripts"))

SHORT = "loop: {steps: 2, rate: 1.0e-2, checkpoint_every: 1000}"
RECIPE = f"""
model: {MODEL}
width: 32
height: 32
lora:
  {{prompt: "{{name}}, s{{style}}", rank: 2, validation_prompts: ["a house, s{{style}}"], validation_steps: 2, {SHORT}}}
textual_inversion:
  {{token: "<s-{{style}}>", vectors: 2, validation_prompts: ["a house, {{token}}"], validation_steps: 2, {SHORT}}}
inst: {{token: "<s-{{style}}>", heads: 2, head_width: 4, {SHORT}}}
dreambooth: {{class_prompt: a thing, class_images: 1, {SHORT}}}
fine_tuning: {{{SHORT}}}
styles:
  "02": {{lora: {{loop: {{steps: 60}}}}}}
"""


def write(folder: Path, text: str = RECIPE) -> Path:
    (folder / "train.yaml").write_text(text, encoding="utf-8")
    return folder / "train.yaml"


def training(
    data: Path,
    output: Path,
    text: str = RECIPE,
    method: str = "lora",
    changes: Optional[Mapping[str, Any]] = None,
    only: Sequence[str] = (),
) -> Training:
    recipe = recipes.load(write(data.parent, text), METHODS)
    found = styles.find(data)
    found = styles.chosen(found, only) if only else found
    runs = recipes.lay_over(recipe, found, method, METHODS, describe(recipe.model), changes or {})
    return Training(runs, output, TRAINER, PACKAGES)


def results(one: Training) -> dict[str, bytes]:
    """The files that were trained, by style."""
    return {run.style: (one.root / run.result).read_bytes() for run in one.runs}


def main(script: str, words: Sequence[object], monkeypatch: pytest.MonkeyPatch) -> int:
    """A script's main in this process, where Jittor runs already."""
    module = __import__(script)
    monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
    monkeypatch.setattr(module, "end_like_ctrl_c_at_sigterm", lambda: None)  # pytest keeps its own handlers
    return module.main()


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("error:")]
