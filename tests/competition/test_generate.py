"""From data to zip: the same zip after any interruption and on any number of workers."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List

import numpy as np
import pytest
from PIL import Image

from jstyle.competition import plan
from jstyle.competition.dataset import Findings, read
from jstyle.competition.generate import Job
from jstyle.competition.plan import Plan
from jstyle.errors import InputError
from jstyle.jobs.engine import Engine
from jstyle.jobs.step_times import StepTimes
from jstyle.jobs.task import Done
from jstyle.pictures import finished as pictures
from jstyle.pictures import images
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.workers import adapters, finishes
from jstyle.workers.pictures import PACKAGES, WORKER, PictureMaker, mean_picture, methods
from tests.competition.folders import picture, write_data
from tests.parity.networks import GOLDEN
from tests.training.many_styles.small import main

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


def made_plan(data: Path, text: str = RECIPE) -> Plan:
    (data.parent / "recipe.yaml").write_text(text, encoding="utf-8")
    findings = Findings()
    found = plan.read(data.parent / "recipe.yaml", read(data), methods(), findings)
    assert found is not None, findings.errors
    return found


def job(data: Path, folder: Path, text: str = RECIPE) -> Job:
    return Job(made_plan(data, text), WORKER, PACKAGES, folder)


def run(one: Job, *, overwrite: bool = False) -> List[str]:
    """The names of the pictures that were made."""
    outcomes = list(one.run(Engine(), one.find(overwrite=overwrite)))
    assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes
    return [outcome.task.name for outcome in outcomes]


def script(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "scripts" / "make_submission.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_job_that_was_killed_and_damaged_ends_in_the_same_zip(data: Path, tmp_path: Path) -> None:
    whole = job(data, tmp_path / "whole")
    assert len(run(whole)) == 5
    assert whole.finish(tmp_path / "whole.zip") == []
    folder = tmp_path / "killed"
    command = ["--data", data, "--recipe", tmp_path / "recipe.yaml", "--output", folder]
    arguments = [sys.executable, str(ROOT / "scripts" / "make_submission.py"), *map(str, command)]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (folder / "pictures" / "00" / "Ice cream.png").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = sorted((folder / "pictures").rglob("*.png"))
    assert 2 <= len(there) < 5
    kept = {path: path.stat().st_mtime_ns for path in there[1:]}
    there[0].write_bytes(there[0].read_bytes()[:-60])
    for place in ("pictures/00", "sheets"):
        (folder / place / ".0123456789abcdef.part").write_bytes(b"half a picture")
    done = script(*command, "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert f"{len(there) - 1} finished before, {6 - len(there)} to make (1 of them damaged)" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert digest(folder / "result.zip") == digest(tmp_path / "whole.zip")
    assert sorted(path.name for path in (folder / "sheets").iterdir()) == ["00.png", "02.png"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["complete"]
    assert manifest["pictures"]["02/Lion.png"]["seed"] == 5
    assert manifest["pictures"]["02/Lion.png"]["file"] == digest(folder / "pictures" / "02" / "Lion.png")


def test_only_what_is_missing_damaged_or_changed_is_made_again(data: Path, tmp_path: Path) -> None:
    one = job(data, tmp_path / "out")
    assert len(run(one)) == 5
    assert run(one) == []
    (one.pictures / "00" / "Dolphin.png").unlink()
    flipped = one.pictures / "02" / "Tree.png"
    metadata = images.read_metadata(flipped)
    image = images.open_image(flipped)
    image.putpixel((3, 3), (255, 0, 255))
    images.save_png(image, flipped, metadata)  # a whole PNG, whose pixels are not those that were made
    assert one.find(overwrite=False).damaged == 1
    assert run(one) == ["00/Dolphin.png", "02/Tree.png"]
    changed = job(data, tmp_path / "out", RECIPE + "      Watch: {seed: 9}\n")
    with pytest.raises(InputError, match=r"Watch\.png': it was made with seed = 6, not 9; --overwrite"):
        changed.find(overwrite=False)
    assert run(changed, overwrite=True) == ["02/Watch.png"]
    picture(1).save(one.pictures / "00" / "Dolphin.png")
    with pytest.raises(InputError, match="not of this job"):
        changed.find(overwrite=False)
    assert run(changed, overwrite=True) == ["00/Dolphin.png"]


def test_a_picture_of_another_backend_is_another(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """By the recipe, or by the command line in its place; workers are told."""
    one, other = job(data, tmp_path / "out"), job(data, tmp_path / "out", RECIPE + "backend: jdiffusion\n")
    run(one)
    with pytest.raises(InputError, match="it was made with backend = 'native', not 'jdiffusion'; --overwrite"):
        other.find(overwrite=False)
    asked: List[str] = []
    monkeypatch.setattr(StableDiffusionPipeline, "from_pretrained", lambda *_, **given: asked.append(given["backend"]))
    assert not any(isinstance(outcome, Done) for outcome in other.run(Engine(), other.find(overwrite=True)))
    assert set(asked) == {"jdiffusion"}
    words = ["--data", data, "--recipe", data.parent / "recipe.yaml", "--output", tmp_path / "out", "--plan"]
    assert main("make_submission", [*words, "--backend", "native"], monkeypatch) == 0
    assert "5 finished before" in capsys.readouterr().out


def test_other_code_is_told_and_makes_nothing_again(data: Path, tmp_path: Path) -> None:
    one = Job(made_plan(data), WORKER, ("styleid",), tmp_path / "out")
    run(one)
    found = job(data, tmp_path / "out").find(overwrite=False)
    assert (len(found.todo), found.by_other_code) == (0, 5)


def test_what_is_planned_is_what_it_costs(data: Path, tmp_path: Path) -> None:
    text = (
        RECIPE
        + '      Watch: {sampler: pndm, guidance: 1.0, start: null}\n  "00": {start: {strength: 0.5}, steps: 5}\n'
    )
    text = text.replace(
        "      Watch", "      Tree: {finish: {method: styleid, settings: {steps: 3, features: recompute}}}\n      Watch"
    )
    made = made_plan(data, text)
    one = Job(made, WORKER, PACKAGES, tmp_path / "out")
    seen: List[int] = []

    maker = PictureMaker(str(MODEL))
    network = maker._pipe.unet
    execute = network.execute

    def counted(sample: Any, *rest: Any, **named: Any) -> Any:
        seen.append(sample.shape[0])
        return execute(sample, *rest, **named)

    network.execute = counted
    for task in one.tasks:
        seen.clear()
        maker.run(task.data)
        assert sum(seen) == made.evaluations[task.name], task.name
    assert made.evaluations["02/Watch.png"] == 4
    assert made.evaluations["00/Dolphin.png"] == 4


def test_the_plan_says_what_and_how_long(data: Path, tmp_path: Path) -> None:
    made = made_plan(data)
    todo = job(data, tmp_path / "out").find(overwrite=False).todo
    times = StepTimes(made.checkpoint, made.recipe.model, 0, tmp_path / "times.json")
    assert times.known() is None
    assert "no time was measured" in plan.summary(made, todo, 0, times.known(), Engine())
    for seconds in (300.0, 120.0, 110.0):
        times.add(seconds, 10)
    times.save()
    known = StepTimes(made.checkpoint, made.recipe.model, 0, tmp_path / "times.json").known()
    assert known == 12.0
    assert StepTimes(made.checkpoint, made.recipe.model, 2, tmp_path / "times.json").known() is None
    count = sum(made.evaluations.values())
    text = plan.summary(made, todo, 0, known, Engine())
    assert f"about {count * 12 // 60} min" in text
    assert "5 pictures of 32x32 in 2 styles" in text
    assert "1 from mean (0.7), then styleid: ddim, 3 steps, guidance 2" in text
    done = script("--data", data, "--recipe", tmp_path / "recipe.yaml", "--output", tmp_path / "out", "--plan")
    assert (done.returncode, (tmp_path / "out").exists()) == (0, False)
    assert f"{count} UNet evaluations to do, {count} in all" in done.stdout


def test_verify_makes_pictures_again_and_compares(data: Path, tmp_path: Path) -> None:
    one = job(data, tmp_path / "out")
    run(one)
    compared = list(one.verify(Engine(), 3))
    assert [comparison.equal for comparison in compared] == [True, True, True]
    assert not (tmp_path / "out" / "verify").exists()
    path = one.pictures / compared[0].name
    image = images.open_image(path)
    red, green, blue = image.getpixel((0, 0))  # type: ignore[misc]
    image.putpixel((0, 0), (red, (green + 100) % 256, blue))
    image.save(path)
    again = {comparison.name: comparison for comparison in one.verify(Engine(), 3)}
    assert not again[compared[0].name].equal
    assert again[compared[0].name].difference in (100, 156)


def test_nothing_is_packed_where_something_is_wrong(data: Path, tmp_path: Path) -> None:
    one = job(data, tmp_path / "out")
    run(one)
    (one.pictures / "00" / "Cat.png").write_bytes(b"x")
    assert one.finish(tmp_path / "result.zip") == ["'00/Cat.png' does not belong there: the scorer opens every file"]
    assert not (tmp_path / "result.zip").exists()


def test_the_script_tells_everything_that_is_wrong_at_once(data: Path, tmp_path: Path) -> None:
    (data / "00" / "prompt.json").write_text('{"0": "a/b"}')
    (data / "02" / "prompt.json").unlink()
    (tmp_path / "recipe.yaml").write_text("picture: {step: 4}")
    done = script("--data", data, "--recipe", tmp_path / "recipe.yaml", "--output", tmp_path / "out")
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert (done.returncode, len(errors)) == (2, 3)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_rules_pick_a_reference() -> None:
    references = [picture(seed) for seed in range(4)]
    assert finishes.chosen("first", references, references[2], 0) is references[0]
    assert finishes.chosen("nearest", references, references[2], 0) is references[2]
    picked = [finishes.chosen("random", references, references[0], seed) for seed in range(20)]
    assert len({id(one) for one in picked}) == 4
    assert finishes.chosen("random", references, references[0], 3) is picked[3]


def test_the_mean_of_pictures() -> None:
    black, white = Image.new("RGB", (8, 8), "black"), Image.new("RGB", (16, 8), "white")
    mean = mean_picture([black, white, white], (4, 4))
    assert np.asarray(mean).tolist() == np.full((4, 4, 3), 170).tolist()


def test_adapters_are_attached_for_their_picture_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: List[str] = []

    @contextmanager
    def loader(pipe: Any, file: Path, weight: float) -> Iterator[None]:
        seen.append(f"{file.name} x {weight} on")
        yield
        seen.append(f"{file.name} off")

    monkeypatch.setitem(adapters.LOADERS, "lora", loader)
    (tmp_path / "00.safetensors").write_bytes(b"weights")
    file = tmp_path / "{style}.safetensors"
    text = RECIPE + f'  "00": {{adapters: [{{kind: lora, file: "{file}", weight: 0.5}}]}}\n'
    one = job(data, tmp_path / "out", text)
    run(one)
    assert seen == ["00.safetensors x 0.5 on", "00.safetensors off"] * 2
    (tmp_path / "00.safetensors").write_bytes(b"other weights")
    with pytest.raises(InputError, match="made with adapters"):
        job(data, tmp_path / "out", text).find(overwrite=False)


def test_states_of_a_picture(tmp_path: Path) -> None:
    meaning: Dict[str, Any] = {"seed": 1, "start": None, "list": [1, 2]}
    path = tmp_path / "a" / "b.png"
    assert pictures.state(path, meaning) == "missing"
    pictures.save(picture(1), path, meaning, "code")
    assert pictures.state(path, meaning) == "finished"
    assert pictures.state(path, {**meaning, "seed": 2}) == "other"
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:cut])
        assert pictures.state(path, meaning) == "damaged"
    path.write_bytes(whole[:-70] + bytes([whole[-70] ^ 1]) + whole[-69:])
    assert pictures.state(path, meaning) == "damaged"
    for kind in ("PNG", "JPEG"):
        picture(1).save(path, kind)
        assert pictures.state(path, meaning) == "other"
