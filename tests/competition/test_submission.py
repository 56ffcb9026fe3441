"""From data to zip: the same zip after any interruption and on any number of workers."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import numpy as np
import pytest
from PIL import Image

from jstyle.competition.dataset import read_dataset
from jstyle.competition.findings import Findings
from jstyle.competition.making import mean_picture
from jstyle.competition.plan import Measured, SubmissionPlan, describe_plan, make_plan
from jstyle.competition.references import choose_reference
from jstyle.competition.run import SubmissionInputs, run_submission
from jstyle.competition.submission import Submission
from jstyle.errors import InputError
from jstyle.events import Evaluated, Event, Failure, PictureWritten, Planned, Remark
from jstyle.files import name_part
from jstyle.holding import held
from jstyle.jobs.engine import Engine
from jstyle.jobs.step_times import StepTimes
from jstyle.jobs.task import Done
from jstyle.pictures import images
from jstyle.pictures.finished import write_picture
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.model import ModelSettings
from jstyle.training.teaching import attaching
from jstyle.workers import pictures as workers
from jstyle.workers.pictures import PictureWorker
from tests.competition.folders import picture, write_data
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


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes find the project's packages where it is not installed anew."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


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


def file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


KILLED = """
import os, signal, sys
from pathlib import Path
from jstyle.competition.run import SubmissionInputs, run_submission
from jstyle.jobs.engine import Engine

data, recipe, output = map(Path, sys.argv[1:])
for event in run_submission(SubmissionInputs(data, recipe, output=output), Engine()):
    if (output / "pictures" / "00" / "Ice cream.png").exists():
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_was_killed_and_damaged_ends_in_the_same_zip(data: Path, tmp_path: Path) -> None:
    write_recipe(data)
    assert not [event for event in run(data, tmp_path / "whole") if isinstance(event, Failure)]
    folder = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, data, tmp_path / "recipe.yaml", folder]
    assert subprocess.run([*map(str, command)], stderr=subprocess.DEVNULL, check=False).returncode == -signal.SIGKILL
    there = sorted((folder / "pictures").rglob("*.png"))
    assert 2 <= len(there) < 5
    kept = {path: path.stat().st_mtime_ns for path in there[1:]}
    there[0].write_bytes(there[0].read_bytes()[:-60])
    for place in ("pictures/00", "sheets"):
        name_part(folder / place / "a").write_bytes(b"half a picture")
    events = run(data, folder, Engine(workers=2))
    assert f"{len(there) - 1} finished before, {6 - len(there)} to make (1 of them damaged)" in said(events)
    (planned,) = [event for event in events if isinstance(event, Planned)]
    assert (planned.pictures, planned.finished) == (5, len(there) - 1)
    assert sum(event.count for event in events if isinstance(event, Evaluated)) == planned.evaluations
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert file_hash(folder / "result.zip") == file_hash(tmp_path / "whole" / "result.zip")
    assert sorted(path.name for path in (folder / "sheets").iterdir()) == ["00.png", "02.png"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["complete"]
    assert manifest["pictures"]["02/Lion.png"]["seed"] == 5
    assert manifest["pictures"]["02/Lion.png"]["file"] == file_hash(folder / "pictures" / "02" / "Lion.png")


def test_only_what_is_missing_damaged_or_changed_is_made_again(data: Path, tmp_path: Path) -> None:
    ours = submission(data, tmp_path / "out")
    assert len(make(ours)) == 5
    assert make(ours) == []
    (ours.pictures / "00" / "Dolphin.png").unlink()
    flipped = ours.pictures / "02" / "Tree.png"
    metadata = images.read_metadata(flipped)
    image = images.open_image(flipped)
    image.putpixel((3, 3), (255, 0, 255))
    images.save_png(image, flipped, metadata)  # a whole PNG, whose pixels are not those that were made
    assert ours.read_progress(overwrite=False).damaged == 1
    assert make(ours) == ["00/Dolphin.png", "02/Tree.png"]
    changed = submission(data, tmp_path / "out", RECIPE + "      Watch: {seed: 9}\n")
    with pytest.raises(InputError, match=r"Watch\.png' was made with seed = 6, not 9; --overwrite"):
        changed.read_progress(overwrite=False)
    assert make(changed, overwrite=True) == ["02/Watch.png"]
    picture(1).save(ours.pictures / "00" / "Dolphin.png")
    with pytest.raises(InputError, match="exists, but jstyle did not make it"):
        changed.read_progress(overwrite=False)
    assert make(changed, overwrite=True) == ["00/Dolphin.png"]


def test_a_picture_of_the_first_edition_is_made_again(data: Path, tmp_path: Path) -> None:
    """Its text chunk says other names; nothing there is taken for finished."""
    ours = submission(data, tmp_path / "out")
    path = ours.pictures / "00" / "Dolphin.png"
    path.parent.mkdir(parents=True)
    about = {"method": "submission", "prompt": "Dolphin", "seed": 4, "pixels": "", "code": ""}
    images.save_png(picture(1), path, about)
    assert len(ours.read_progress(overwrite=True).unfinished) == 5


def test_a_picture_of_another_backend_is_another(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the recipe, or by the command line in its place; workers hear of it."""
    other = RECIPE + "backend: jdiffusion\n"
    ours, theirs = submission(data, tmp_path / "out"), submission(data, tmp_path / "out", other)
    make(ours)
    with pytest.raises(InputError, match=r"was made with model\.backend = 'native', not 'jdiffusion'; --overwrite"):
        theirs.read_progress(overwrite=False)
    asked: list[str] = []

    def load(settings: ModelSettings) -> SimpleNamespace:
        asked.append(settings.backend)
        return SimpleNamespace(model_hash="another")  # so that no picture is made

    monkeypatch.setattr(StableDiffusionPipeline, "from_settings", load)
    assert not any(isinstance(outcome, Done) for outcome in theirs.make(Engine(), theirs.read_progress(overwrite=True)))
    assert set(asked) == {"jdiffusion"}
    assert any("5 finished before" in line for line in said(run(data, tmp_path / "out", plan=True, backend="native")))


def test_other_code_is_a_remark_and_makes_nothing_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = submission(data, tmp_path / "out")
    make(ours)
    assert ours.read_progress(overwrite=False).by_other_code == 0
    monkeypatch.setattr("jstyle.competition.submission.read_code_version", lambda: "another")
    progress = ours.read_progress(overwrite=False)
    assert (len(progress.unfinished), progress.by_other_code) == (0, 5)


def count_at_the_unet(worker: PictureWorker, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batches that go through the worker's UNet from now on."""
    seen: list[int] = []
    execute = worker.pipe.unet.execute

    def counted(sample: Any, *rest: Any, **named: Any) -> Any:
        seen.append(sample.shape[0])
        return execute(sample, *rest, **named)

    monkeypatch.setattr(worker.pipe.unet, "execute", counted)
    return seen


def test_what_is_planned_is_what_it_costs(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        RECIPE
        + '      Watch: {sampler: pndm, guidance: 1.0, start: null}\n  "00": {start: {strength: 0.5}, steps: 5}\n'
    )
    text = text.replace(
        "      Watch", "      Tree: {finish: {method: styleid, settings: {steps: 3, features: recompute}}}\n      Watch"
    )
    made = plan(data, tmp_path / "out", text)
    worker = PictureWorker(model=str(MODEL))
    seen = count_at_the_unet(worker, monkeypatch)
    for task in made.tasks:
        seen.clear()
        worker.run(task.to_task().data)
        assert sum(seen) == made.evaluations[task.name], task.name
    assert made.evaluations["02/Watch.png"] == 4
    assert made.evaluations["00/Dolphin.png"] == 4


def test_the_plan_says_what_and_how_long(data: Path, tmp_path: Path) -> None:
    made = plan(data, tmp_path / "out")
    unfinished = submission(data, tmp_path / "out").read_progress(overwrite=False).unfinished
    times = StepTimes("a model", 0, tmp_path / "times.json")
    assert times.read() is None
    assert "no time was measured" in describe_plan(made, unfinished, 0, Measured(times.read(), 0.0, 0))
    for seconds in (300.0, 120.0, 110.0):
        times.add(seconds, 10)
    times.add(5.0, 0)  # a picture that cost nothing more
    times.save()
    known = StepTimes("a model", 0, tmp_path / "times.json").read()
    assert known == 12.0
    assert StepTimes("a model", 2, tmp_path / "times.json").read() is None
    count = sum(made.evaluations.values())
    text = describe_plan(made, unfinished, 0, Measured(known, 0.0, 0))
    assert f"about {count * 12 // 60} min" in text
    with_trainings = describe_plan(made, unfinished, 0, Measured(known, 3600.0, 0))
    assert f"about 1 h {count * 12 // 60:02d} min (12 s an evaluation, as measured here; 1 h 00 min" in with_trainings
    assert "without the trainings" in describe_plan(made, unfinished, 0, Measured(known, None, 0))
    assert "5 pictures of 32x32 in 2 styles" in text
    assert "1 from mean (0.7), then styleid: ddim, 3 steps, guidance 2" in text
    events = run(data, tmp_path / "out", plan=True)
    assert not (tmp_path / "out").exists()
    assert f"{count} UNet evaluations to do, {count} in all" in said(events)


def test_a_model_that_is_not_here_is_planned_with(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is fetched, and pictures that are there are neither in the way nor taken for finished."""
    make(submission(data, tmp_path / "out"))
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("the network was asked"))
    lines = said(run(data, tmp_path / "out", plan=True, model="nobody/has-this"))
    assert lines[0].startswith("nobody/has-this is not wholly on this machine, and a plan fetches nothing")
    count = sum(plan(data, tmp_path / "out").evaluations.values())
    assert "0 finished before, 5 to make (0 of them damaged)" in lines
    assert f"{count} UNet evaluations to do, {count} in all" in lines


def test_verify_makes_pictures_again_and_compares(data: Path, tmp_path: Path) -> None:
    ours = submission(data, tmp_path / "out")
    make(ours)
    events = run(data, tmp_path / "out", verify=3)
    assert not (tmp_path / "out" / "verify").exists()
    lines = said(events)
    assert [line.endswith(": the same") for line in lines] == [True, True, True, False]
    assert lines[-1] == "all are the same"
    name = lines[0].partition(":")[0]
    image = images.open_image(ours.pictures / name)
    red, green, blue = image.getpixel((0, 0))  # type: ignore[misc]
    image.putpixel((0, 0), (red, (green + 100) % 256, blue))
    (task,) = (task for task in plan(data, tmp_path / "out").tasks if task.name == name)
    write_picture(image, task.output, task.spec)  # as another machine might have made it
    (failure,) = [event for event in run(data, tmp_path / "out", verify=3) if isinstance(event, Failure)]
    assert failure.subject == name
    assert failure.reason in ("differs by up to 100 of 255", "differs by up to 156 of 255")


def test_verify_takes_finished_pictures_alone(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    ours = submission(data, folder)
    made = make(ours)
    for name in made[1:]:
        (ours.pictures / name).unlink()
    assert said(run(data, folder, verify=5)) == [f"{made[0]}: the same", "all are the same"]

    def refuse(*_: object) -> None:
        raise AssertionError("the engine is started")

    monkeypatch.setattr(Engine, "run", refuse)
    write_recipe(data, RECIPE.replace("guidance: 2.0", "guidance: 3.0"))
    with pytest.raises(InputError, match=r"was made with guidance = 2\.0, not 3\.0"):
        run(data, folder, verify=1)
    (ours.pictures / made[0]).unlink()
    with pytest.raises(InputError, match="no picture is finished"):
        run(data, folder, verify=1)


def test_a_file_in_the_place_of_the_folder_is_found_first(data: Path, tmp_path: Path) -> None:
    write_recipe(data, "model: no-such-model")
    (tmp_path / "out").write_text("somebody's")
    assert fail(
        run_submission(SubmissionInputs(data, tmp_path / "recipe.yaml", output=tmp_path / "out"), Engine())
    ) == [f"'{tmp_path / 'out'}' is a file, not a folder for the results; choose another output"]


def test_a_run_that_is_left_early_keeps_its_times_and_what_it_has_made(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = []
    monkeypatch.setattr(StepTimes, "save", lambda times: saved.append(times))
    write_recipe(data)
    events = run_submission(SubmissionInputs(data, tmp_path / "recipe.yaml", output=tmp_path / "out"), Engine())
    next(event for event in events if isinstance(event, PictureWritten))
    events.close()  # type: ignore[attr-defined]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert len(manifest["pictures"]) == 1 and not manifest["complete"] and len(saved) == 1


def test_a_style_sheet_takes_nobodys_file(data: Path, tmp_path: Path) -> None:
    write_recipe(data)
    foreign = tmp_path / "out" / "sheets" / "00.png"
    foreign.parent.mkdir(parents=True)
    picture(1).save(foreign)
    before = foreign.read_bytes()
    with pytest.raises(InputError, match=r"00\.png' exists, but jstyle did not make it"):
        run(data, tmp_path / "out")
    assert foreign.read_bytes() == before and not (tmp_path / "out" / "pictures").exists()


def test_nothing_is_packed_where_something_is_wrong(data: Path, tmp_path: Path) -> None:
    make(submission(data, tmp_path / "out"))
    (tmp_path / "out" / "pictures" / "00" / "Cat.png").write_bytes(b"x")
    events = run(data, tmp_path / "out")
    failures = [event.reason for event in events if isinstance(event, Failure)]
    assert failures == ["'00/Cat.png' does not belong there: the scorer opens every file"]
    assert said(events)[-1].endswith("nothing is packed")
    assert not (tmp_path / "out" / "result.zip").exists()


def test_a_picture_that_could_not_be_renewed_is_not_packed_as_it_was(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(submission(data, tmp_path / "out"))
    write_recipe(data, RECIPE + "      Watch: {seed: 9}\n")

    def refuse(*_: object) -> None:
        raise InputError("no")

    monkeypatch.setattr(workers, "write_picture", refuse)
    events = run(data, tmp_path / "out", overwrite=True)
    assert [event for event in events if isinstance(event, Failure)] == [Failure("02/Watch.png", "no")]
    assert not (tmp_path / "out" / "result.zip").exists()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert not manifest["complete"] and "02/Watch.png" not in manifest["pictures"]


def test_everything_that_is_wrong_is_said_at_once(data: Path, tmp_path: Path) -> None:
    (data / "00" / "prompt.json").write_text('{"0": "a/b"}')
    (data / "02" / "prompt.json").unlink()
    write_recipe(data, "picture: {step: 4}")
    errors = fail(run_submission(SubmissionInputs(data, tmp_path / "recipe.yaml", output=tmp_path / "out"), Engine()))
    assert len(errors) == 3
    for error, words in zip(errors, ("cannot be a file name", "style 02 has no prompts", "unknown setting 'step'")):
        assert words in error
    assert not (tmp_path / "out").exists()


def test_rules_pick_a_reference() -> None:
    references = [picture(seed) for seed in range(4)]
    assert choose_reference("first", references, references[2], 0) is references[0]
    assert choose_reference("nearest", references, references[2], 0) is references[2]
    picked = [choose_reference("random", references, references[0], seed) for seed in range(20)]
    assert len({id(reference) for reference in picked}) == 4
    assert choose_reference("random", references, references[0], 3) is picked[3]


def test_the_mean_of_pictures() -> None:
    black, white = Image.new("RGB", (8, 8), "black"), Image.new("RGB", (16, 8), "white")
    mean = mean_picture([black, white, white], (4, 4))
    assert np.asarray(mean).tolist() == np.full((4, 4, 3), 170).tolist()


def test_adapters_are_attached_for_their_picture_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    @contextmanager
    def attach(pipe: Any, file: Path, weight: float) -> Iterator[None]:
        seen.append(f"{file.name} x {weight} on")
        yield
        seen.append(f"{file.name} off")

    monkeypatch.setattr(attaching, "load_attribute", lambda _: attach)
    (tmp_path / "00.safetensors").write_bytes(b"weights")
    file = tmp_path / "{style}.safetensors"
    text = RECIPE + f'  "00": {{adapters: [{{kind: lora, file: "{file}", weight: 0.5}}]}}\n'
    make(submission(data, tmp_path / "out", text))
    assert seen == ["00.safetensors x 0.5 on", "00.safetensors off"] * 2
    (tmp_path / "00.safetensors").write_bytes(b"other weights")
    with pytest.raises(InputError, match=r"made with another adapters\[0\]\.identity;"):
        submission(data, tmp_path / "out", text).read_progress(overwrite=False)


@pytest.mark.parametrize("verify", [None, 1])
def test_two_runs_in_one_folder_are_refused_before_anything_is_read(
    data: Path, tmp_path: Path, verify: Optional[int]
) -> None:
    inputs = SubmissionInputs(data, write_recipe(data), output=tmp_path / "out", verify=verify)
    with held(inputs.output), pytest.raises(InputError, match=rf"process {os.getpid()}.* works in '.*out'"):
        list(run_submission(inputs, Engine()))
    assert not inputs.output.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"zip": ""}, "zip: '' cannot be the name of a file: it is empty"),
        ({"zip": "../result.zip"}, "it holds '/'"),
        ({"zip": "r" * 300}, "it takes 300 bytes"),
        ({"zip_folder": "a/../b"}, r"zip_folder: '..' cannot be the name of a file: it starts or ends with a dot"),
    ],
)
def test_a_zip_that_cannot_be_written_is_refused_at_once(words: dict, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        SubmissionInputs(tmp_path, preset="baseline", **words)
