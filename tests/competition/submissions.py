"""A recipe for small data, and what is made of it: shared by the tests of submissions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from jstyle.competition.dataset import read_dataset
from jstyle.competition.findings import Findings
from jstyle.competition.plan import SubmissionPlan, make_plan
from jstyle.competition.run import SubmissionInputs, run_submission
from jstyle.competition.submission import Submission
from jstyle.errors import InputError
from jstyle.events import Event, Failure, Remark
from jstyle.jobs.engine import Engine
from jstyle.jobs.task import Done
from jstyle.workers.pictures import PictureWorker
from tests.parity.networks import GOLDEN

ROOT = Path(__file__).resolve().parents[2]
MODEL = GOLDEN / "diffusers_folder"
RECIPE = f"""
model: {MODEL}
width: 32
height: 32
picture: {{prompt: "{{prompt}}", sampler: ddim, steps: 3, guidance: 2.0, seed: 4}}
styles:
  "02":
    start: {{image: mean, strength: 0.7}}
    prompts:
      Lion: {{finish: {{method: styleid, reference: nearest, settings: {{steps: 3, gamma: 0.5}}}}}}
"""


def write_recipe(data: Path, text: str = RECIPE) -> Path:
    (data.parent / "recipe.yaml").write_text(text, encoding="utf-8")
    return data.parent / "recipe.yaml"


def plan(data: Path, folder: Path, text: str = RECIPE) -> SubmissionPlan:
    findings = Findings()
    made = make_plan(write_recipe(data, text), read_dataset(data), findings, folder)
    assert made is not None, findings.errors
    return made


def submission(data: Path, folder: Path, text: str = RECIPE) -> Submission:
    return Submission(plan(data, folder, text), folder)


def make(ours: Submission, *, overwrite: bool = False) -> list[str]:
    """The names of the pictures that were made."""
    outcomes = list(ours.make(Engine(), ours.read_progress(overwrite=overwrite)))
    assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes
    return [outcome.task.name for outcome in outcomes]


def run(data: Path, output: Path, engine: Optional[Engine] = None, **more: Any) -> list[Event]:
    """Everything that a run says."""
    inputs = SubmissionInputs(data, data.parent / "recipe.yaml", output=output, **more)
    return list(run_submission(inputs, engine or Engine()))


def said(events: list[Event]) -> list[str]:
    """Every line, but for remarks on the data."""
    lines = [event.text for event in events if isinstance(event, Remark)]
    return [line for line in lines if not line.startswith("remark:")]


def fail(events: Iterator[Event]) -> list[str]:
    """The errors that a run ends with, the last one raised."""
    failures: list[str] = []
    with pytest.raises(InputError) as raised:
        for event in events:
            if isinstance(event, Failure):
                failures.append(event.reason)
    return [*failures, str(raised.value)]


def count_at_the_unet(worker: PictureWorker, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batches that go through the worker's UNet from now on."""
    seen: list[int] = []
    execute = worker.pipe.unet.execute

    def counted(sample: Any, *rest: Any, **named: Any) -> Any:
        seen.append(sample.shape[0])
        return execute(sample, *rest, **named)

    monkeypatch.setattr(worker.pipe.unet, "execute", counted)
    return seen
