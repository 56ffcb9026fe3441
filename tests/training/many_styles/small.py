"""Trainings of a second on the goldens' tiny networks."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import pytest

from jstyle.events import Event, Failure, StyleTaught
from jstyle.jobs.engine import Engine
from jstyle.training.many_styles.folders import find_styles, select_styles
from jstyle.training.many_styles.inputs import StylesInputs
from jstyle.training.many_styles.job import TrainingJob
from jstyle.training.many_styles.recipe import plan_trainings, read_recipe
from jstyle.training.many_styles.run import teach_styles
from jstyle.training.teaching.table import TEACHINGS
from jstyle.weights.description import describe_checkpoint
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
dreambooth: {{class_prompt: a thing, class_images: 1, class_steps: 2, {SHORT}}}
fine_tuning: {{{SHORT}}}
styles:
  "02": {{lora: {{loop: {{steps: 40}}}}}}
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
) -> TrainingJob:
    recipe = read_recipe(write(data.parent, text))
    styles = find_styles(data)
    styles = select_styles(styles, only) if only else styles
    checkpoint = describe_checkpoint(recipe.model, recipe.width, recipe.height)
    trainings = plan_trainings(recipe, styles, TEACHINGS[method], checkpoint, changes or {})
    return TrainingJob(trainings, output, checkpoint)


def teach(**inputs: Any) -> list[Event]:
    """The events of a whole run in this process."""
    return list(teach_styles(StylesInputs(**inputs), Engine()))


def train(job: TrainingJob, *, overwrite: bool = False) -> list[Event]:
    """Train what is to be done, in this process. Gives what each training came to."""
    events = job.run(Engine(), job.read_progress(overwrite=overwrite).todo)
    return [event for event in events if isinstance(event, (StyleTaught, Failure))]


def results(one: TrainingJob) -> dict[str, bytes]:
    """The files that were trained, by style."""
    return {run.style: (one.root / run.result).read_bytes() for run in one.trainings}


def main(script: str, words: Sequence[object], monkeypatch: pytest.MonkeyPatch) -> int:
    """A script's main in this process, where Jittor runs already."""
    module = __import__(script)
    monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
    monkeypatch.setattr(module, "end_like_ctrl_c_at_sigterm", lambda: None)  # pytest keeps its own handlers
    return module.main()


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("error:")]
