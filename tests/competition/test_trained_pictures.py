"""Recipes whose pictures need something trained, or are made as sets: one command from data to zip."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Optional

import pytest

from jstyle.competition.dataset import read_dataset
from jstyle.competition.findings import Findings
from jstyle.competition.plan import SubmissionPlan, make_plan
from jstyle.competition.run import SubmissionInputs, run_submission
from jstyle.competition.submission import Submission
from jstyle.errors import InputError
from jstyle.events import Event, Failure, Remark, exhaust
from jstyle.jobs.engine import Engine
from jstyle.jobs.task import Done
from jstyle.pictures import images
from jstyle.pictures.finished import hash_pixels
from jstyle.pictures.spec import AdapterSpec
from jstyle.settings.configs import find_config
from jstyle.workers.pictures import PictureWorker
from tests.competition.folders import picture, write_data
from tests.competition.submissions import count_at_the_unet
from tests.parity.networks import GOLDEN

MODEL = GOLDEN / "diffusers_folder"
PRESETS = ("baseline", "textual_inversion", "lora+styleid", "style_aligned")
COMMON = f"""
model: {MODEL}
width: 32
height: 32
"""
TRAINED = (
    COMMON
    + """
picture: {prompt: "{prompt} in s{style}", steps: 2, guidance: 1.0}
styles:
  "02":
    adapters: [{kind: lora, train: {prompt: "s{style}", rank: 2, loop: {steps: 2, rate: 1.0e-2}}, weight: 0.8}]
"""
)
ALIGNED = (
    COMMON
    + """
picture:
  {prompt: "a {prompt}", sampler: ddim, steps: 3, guidance: 2.0, set: {reference: first, settings: {preset: image}}}
styles:
  "02": {set: {reference: prompt}}
"""
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


def plan(data: Path, text: str, folder: Optional[Path] = None) -> SubmissionPlan:
    (data.parent / "recipe.yaml").write_text(text, encoding="utf-8")
    findings = Findings()
    made = make_plan(data.parent / "recipe.yaml", read_dataset(data), findings, folder or data.parent / "out")
    assert made is not None, findings.errors
    return made


def submit(data: Path, text: str, **more: Any) -> list[Event]:
    (data.parent / "recipe.yaml").write_text(text, encoding="utf-8")
    inputs = SubmissionInputs(data, data.parent / "recipe.yaml", output=data.parent / "out", **more)
    return list(run_submission(inputs, Engine()))


def said(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Remark)]


def failures(events: list[Event]) -> list[Failure]:
    return [event for event in events if isinstance(event, Failure)]


def times(folder: Path) -> dict[str, int]:
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*.png")}


def test_what_is_missing_is_trained_first_and_a_retrained_adapter_makes_its_pictures_anew(
    data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    lines = said(submit(data, TRAINED, plan=True))
    assert "1 styles to teach: 0 finished before, 1 to train, 2 training steps" in lines
    assert any("3 from noise, with lora" in line for line in lines) and not out.exists()
    assert not failures(submit(data, TRAINED))
    assert (out / "result.zip").is_file()
    (place,) = json.loads((out / "manifest.json").read_text())["trained"].items()
    assert place[0].startswith("02/lora-") and place[1]["finished"]["hash"]
    first = times(out / "pictures")
    shutil.rmtree(out / "trained")
    assert not failures(submit(data, TRAINED))
    assert not (out / "trained").exists() and times(out / "pictures") == first  # nothing needs it any more
    again = TRAINED.replace("rank: 2", "rank: 3")
    with pytest.raises(InputError, match=r"made with another adapters\[0\]\.identity;"):
        submit(data, again)
    assert not failures(submit(data, again, overwrite=True))
    changed = {name for name, when in times(out / "pictures").items() if when != first[name]}
    assert changed == {"02/Tree.png", "02/Lion.png", "02/Watch.png"}


def test_changed_references_train_anew(data: Path) -> None:
    (before,) = plan(data, TRAINED).trainings.all
    picture(7).save(data / "00" / "images" / "object_0.png")
    (same,) = plan(data, TRAINED).trainings.all
    picture(7).save(data / "02" / "images" / "object_0.png")
    made = plan(data, TRAINED)
    (other,) = made.trainings.all
    assert before.place == same.place != other.place
    adapters = [task.spec.adapters for task in made.tasks]
    assert adapters == [()] * 2 + [(AdapterSpec("lora", other.identity, 0.8),)] * 3


def test_where_a_training_fails_the_other_pictures_are_made_and_nothing_is_packed(data: Path, tmp_path: Path) -> None:
    events = submit(data, TRAINED.replace('prompt: "s{style}"', 'prompt: "{nmae}"'))
    (failure,) = failures(events)
    assert "cannot be filled in" in failure.reason and failure.reason.endswith("train.log")
    assert sorted(times(tmp_path / "out" / "pictures")) == ["00/Dolphin.png", "00/Ice cream.png"]
    assert not (tmp_path / "out" / "result.zip").exists()


@pytest.mark.parametrize("features", ["memory", "recompute"])
def test_a_sets_pictures_do_not_depend_on_the_worker_and_cost_what_is_planned(
    features: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = ALIGNED.replace("{preset: image}", f"{{preset: image, features: {features}}}")
    text = text.replace("{reference: prompt}", f"{{reference: prompt, settings: {{features: {features}}}}}")
    made = plan(data, text)
    worker = PictureWorker(model=str(MODEL))
    seen = count_at_the_unet(worker, monkeypatch)
    hashes = {}
    for task in made.tasks:
        seen.clear()
        hashes[task.name] = worker.run(task.to_task().data)["pixels"]
        assert sum(seen) == made.evaluations[task.name], task.name
    fresh = PictureWorker(model=str(MODEL))  # the last of each set, without what came before it
    for task in reversed(made.tasks):
        if task.name in ("00/Ice cream.png", "02/Watch.png"):
            assert fresh.run(task.to_task().data)["pixels"] == hashes[task.name]
    assert len(set(hashes.values())) == 5


def test_the_first_prompts_picture_is_the_reference_itself(data: Path, tmp_path: Path) -> None:
    aligned = make(data, ALIGNED, tmp_path / "set")
    plain = make(data, ALIGNED.replace("{reference: prompt}", "null"), tmp_path / "plain")
    assert aligned["02/Tree.png"] == plain["02/Tree.png"]
    assert aligned["02/Lion.png"] != plain["02/Lion.png"]
    assert aligned["00/Dolphin.png"] == plain["00/Dolphin.png"]


def make(data: Path, text: str, folder: Path) -> dict[str, str]:
    """The hashes of the pictures' pixels."""
    made = plan(data, text, folder)
    ours = Submission(made, folder)
    outcomes = list(ours.make(Engine(), ours.read_progress(overwrite=False)))
    assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes
    return {task.name: hash_pixels(images.open_image(task.output)) for task in made.tasks}


def test_sets_with_adapters_and_a_start(data: Path) -> None:
    """A set's reference is made anew where another adapter is on the model."""
    text = ALIGNED.replace("steps: 3,", "steps: 3, start: {image: mean, strength: 0.7},").replace(
        '"02": {set: {reference: prompt}}',
        '"02": {prompts: {Lion: {adapters: [{kind: fine_tuning, train: {loop: {steps: 1, rate: 1.0e-3, ema: 0.0}}}]}}}',
    )
    made = plan(data, text)
    assert exhaust(made.trainings.job.run(Engine(), made.trainings.all)) == []
    worker = PictureWorker(model=str(MODEL))
    hashes = {task.name: worker.run(task.to_task().data)["pixels"] for task in made.tasks}
    (lion,) = [task for task in made.tasks if task.spec.adapters]
    assert PictureWorker(model=str(MODEL)).run(lion.to_task().data)["pixels"] == hashes[lion.name]
    fresh = PictureWorker(model=str(MODEL))
    for task in reversed(made.tasks):
        assert fresh.run(task.to_task().data)["pixels"] == hashes[task.name], task.name


def test_references_are_read_from_their_files_names(data: Path) -> None:
    (data / "00" / "images" / "object_0.png").rename(data / "00" / "images" / "Full_moon_.png")
    made = plan(data, ALIGNED.replace("reference: first", 'reference: Full_moon_, text: "a {name}, {style}"'))
    spec = made.tasks[0].spec.set
    assert spec is not None
    assert spec.prompt == "a full moon, 00"
    assert list(made.tasks[0].files) == [spec.picture]


@pytest.mark.parametrize("base", [None, "sd21"])
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_plans(name: str, base: Optional[str], data: Path) -> None:
    file, findings = find_config(name, "submission_"), Findings()
    made = make_plan(file, read_dataset(data), findings, data.parent, base=base, model={"model": str(MODEL)})
    assert made is not None and not findings.remarks
    assert made.checkpoint.size == ((512, 512) if base else made.checkpoint.size)
    kinds = {run.teaching.name for run in made.trainings.all}
    assert kinds == {"style_aligned": set(), "textual_inversion": {"textual_inversion"}}.get(name, {"lora"})
    for run in made.trainings.all:
        assert run.settings.recompute == bool(base) and run.settings.width == made.checkpoint.size[0]
    tokens = [run.settings.token for run in made.trainings.all if run.teaching.name == "textual_inversion"]
    for task in made.tasks:
        assert not tokens or any(token in task.spec.prompt for token in tokens)


def test_presets_are_found_by_name(data: Path) -> None:
    inputs: dict[str, Any] = {"data": data, "output": data.parent / "out", "model": str(MODEL), "plan": True}
    lines = said(list(run_submission(SubmissionInputs(**inputs, preset="baseline"), Engine())))
    assert any("1000 training steps" in line for line in lines)
    with pytest.raises(InputError, match="basline"):
        SubmissionInputs(**inputs, preset="basline")
    with pytest.raises(ValueError, match="either a --recipe or a --preset"):
        SubmissionInputs(**inputs)
