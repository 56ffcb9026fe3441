"""From data to zip: the same zip after any interruption and on any number of workers."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle.competition.making import mean_picture
from jstyle.competition.references import choose_reference
from jstyle.competition.run import SubmissionInputs, run_submission
from jstyle.errors import InputError
from jstyle.events import Evaluated, Failure, PictureWritten, Planned
from jstyle.files import name_part
from jstyle.jobs.engine import Engine
from jstyle.jobs.step_times import StepTimes
from jstyle.jobs.task import Done
from jstyle.pictures import images, png_texts
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.model import ModelSettings
from jstyle.training.teaching import attaching
from tests.competition.folders import picture
from tests.competition.submissions import RECIPE, make, run, said, submission, write_recipe

pytestmark = pytest.mark.usefixtures("workers_find_the_project")


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
    metadata = png_texts.read_metadata(flipped)
    image = images.open_image(flipped)
    image.putpixel((3, 3), (255, 0, 255))
    png_texts.save_png(image, flipped, metadata)  # a whole PNG, whose pixels are not those that were made
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
    png_texts.save_png(picture(1), path, about)
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
