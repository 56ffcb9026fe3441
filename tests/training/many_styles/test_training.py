"""Styles are trained to the same bits by any engine, after any interruption; finished ones stay, failures are told."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from jstyle import StableDiffusionPipeline
from jstyle.errors import InputError
from jstyle.jobs.engine import Engine
from jstyle.jobs.task import Done, Failed
from jstyle.pictures import images
from jstyle.runtime import jt
from jstyle.training.many_styles import runs
from jstyle.training.many_styles.job import Training
from jstyle.training.report import read_log
from jstyle.workers import adapters
from jstyle.workers.training import METHODS
from tests.competition.folders import write_data
from tests.methods.inst.small import write_model
from tests.training.many_styles.small import MODEL, RECIPE, ROOT, lines, main, results, training, write


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes find the project's packages where it is not installed anew."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("trained") / "data")


@pytest.fixture(scope="module")
def here(data: Path) -> Training:
    """Both styles, trained in this process without an interruption."""
    one = training(data, data.parent / "here")
    assert all(isinstance(outcome, Done) for outcome in one.run(Engine(), one.find(overwrite=False).todo))
    return one


def steps(folder: Path) -> list[int]:
    return [record["step"] for record in read_log(folder)] if (folder / "log.jsonl").exists() else []


def test_two_workers_that_are_ended_and_a_second_run_give_the_same_bits(
    data: Path, here: Training, tmp_path: Path
) -> None:
    one = training(data, tmp_path)
    outcomes = one.run(Engine(workers=2), one.find(overwrite=False).todo)
    first = next(outcomes)
    assert isinstance(first, Done) and first.task.name == "00"
    while not steps(tmp_path / "02"):
        time.sleep(0.01)
    outcomes.close()  # type: ignore[attr-defined]
    saved = [path.name for path in (tmp_path / "02" / "checkpoint").iterdir()]
    assert len(saved) == 1 and 1 <= int(saved[0].split("-")[1]) < 60  # though the recipe asks for one at the end alone
    found = one.find(overwrite=False)
    assert ([run.style for run in found.finished], [run.style for run in found.todo], found.begun) == (
        ["00"],
        ["02"],
        1,
    )
    assert [type(outcome) for outcome in one.run(Engine(), found.todo)] == [Done]
    assert results(one) == results(here)
    assert not one.find(overwrite=False).todo
    assert "interrupted; run the same command to go on" in one.log("02").read_text()


def test_a_result_that_is_damaged_is_made_again_from_its_checkpoint(data: Path, here: Training, tmp_path: Path) -> None:
    one = training(data, tmp_path, only=["00"])
    list(one.run(Engine(), one.find(overwrite=False).todo))
    file = tmp_path / one.runs[0].result
    whole = file.read_bytes()
    for damaged in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[:-20]):
        file.write_bytes(damaged)
        found = one.find(overwrite=False)
        assert (len(found.todo), found.damaged) == (1, 1)
        list(one.run(Engine(), found.todo))
        assert file.read_bytes() == whole == results(here)["00"]


def test_other_settings_are_refused_or_train_anew(data: Path, here: Training, tmp_path: Path) -> None:
    one = training(data, tmp_path, only=["00"])
    list(one.run(Engine(), one.find(overwrite=False).todo))
    other = training(data, tmp_path, changes={"rank": 3}, only=["00"])
    with pytest.raises(InputError, match=r"00': it was trained with rank = 2, not 3; --overwrite trains it anew"):
        other.find(overwrite=False)
    before = results(one)
    assert before == {"00": results(here)["00"]}
    list(other.run(Engine(), other.find(overwrite=True).todo))
    assert results(other) != before and steps(tmp_path / "00") == [1, 2]
    assert runs.state(other.runs[0], tmp_path) == "finished" and runs.state(one.runs[0], tmp_path) == "other"


@pytest.mark.parametrize("method", [name for name in METHODS if name != "lora"])
def test_every_method_gives_what_its_loader_puts_on_a_model_and_takes_off(
    method: str, data: Path, tmp_path: Path
) -> None:
    changes = {"image_encoder": str(write_model(tmp_path / "sees"))} if method == "inst" else {}
    one = training(data, tmp_path, method=method, changes=changes, only=["00"])
    (outcome,) = one.run(Engine(), one.find(overwrite=False).todo)
    assert isinstance(outcome, Done), outcome
    pipe = StableDiffusionPipeline.from_pretrained(str(MODEL))
    prompt = "a house in <s-00>"

    def latents() -> np.ndarray:
        return pipe(prompt, 32, 32, num_inference_steps=2, output_type="latent", seed=1).images

    before, (run,) = latents(), one.runs
    adapter = [{"kind": run.adapter, "trained": run.identity, "weight": 1.0}]
    with adapters.attached(pipe, adapter, {run.identity: str(tmp_path / run.result)}):
        assert np.abs(latents() - before).max() > 1e-5
    assert (latents() == before).all()
    adapter[0]["weight"] = 0.5
    with (
        pytest.raises(InputError, match=r"the weight of a .* must be 1, not 0\.5"),
        adapters.attached(pipe, adapter, {run.identity: str(tmp_path / run.result)}),
    ):
        pass


def test_a_trained_text_encoder_comes_with_its_unet(tmp_path: Path) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(str(MODEL))
    before = pipe.encode_prompt("a house").numpy()
    with jt.no_grad():
        for parameter in pipe.text_encoder.parameters():
            parameter.assign(parameter + 0.1)
    taught = pipe.encode_prompt("a house").numpy()
    pipe.save_pretrained(tmp_path / "model")
    pipe = StableDiffusionPipeline.from_pretrained(str(MODEL))
    adapter = [{"kind": "fine_tuning", "file": "it", "weight": 1.0}]
    file = tmp_path / "model" / "unet" / "diffusion_pytorch_model.safetensors"
    with adapters.attached(pipe, adapter, {"it": str(file)}):
        assert (pipe.encode_prompt("a house").numpy() == taught).all() and (taught != before).any()
    assert (pipe.encode_prompt("a house").numpy() == before).all()


def test_the_script_tells_what_failed_draws_the_rest_and_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    text = RECIPE.replace("steps: 60", "steps: 3")
    recipe = write(tmp_path, text + '  "00": {prompt: "a {nmae}"}\n')
    words = ["--data", data, "--recipe", recipe, "--output", tmp_path / "out"]
    assert main("train_style", words, monkeypatch) == 1
    said = capsys.readouterr()
    (line,) = set(lines(said.err))
    log = tmp_path / "out" / "00" / "train.log"
    assert "00: the prompt 'a {nmae}' cannot be filled in" in line and line.endswith(f"see {log}")
    assert "cannot be filled in" in log.read_text()
    assert f"1 of 2 styles are in {tmp_path / 'out'}" in said.out
    sheets = tmp_path / "out" / "sheets"
    assert [path.name for path in sheets.iterdir()] == ["02.png"]
    before, after = (images.open_image(tmp_path / "out" / "02" / side / "00.png") for side in ("before", "after"))
    assert before.size == after.size == (32, 32) and before.tobytes() != after.tobytes()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "02").rglob("*.*")}
    write(tmp_path, text)
    half = sheets / ".0123456789abcdef.part"  # as a killed process leaves it
    half.write_bytes(b"half a picture")
    assert main("train_style", words, monkeypatch) == 0
    assert "1 finished before, 1 to train" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert sorted(path.name for path in sheets.iterdir()) == ["00.png", "02.png"]


def test_the_script_plans(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    words = ["--data", data, "--recipe", write(tmp_path), "--output", tmp_path / "out", "--plan", "--styles", "00-27"]
    assert main("train_style", [*words, "--set", "loop.warmup=1"], monkeypatch) == 0
    assert "2 styles to teach: 0 finished before, 2 to train, 62 training steps" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="there is no method 'magic'"):
        main("train_style", [*words, "--method", "magic"], monkeypatch)
    with pytest.raises(InputError, match="there is no style '03'"):
        main("train_style", [*words[:-1], "03"], monkeypatch)


def test_a_failure_is_an_outcome(data: Path, tmp_path: Path) -> None:
    one = training(data, tmp_path, changes={"prompt": "{x}"}, only=["00"])
    (outcome,) = one.run(Engine(), one.find(overwrite=False).todo)
    assert isinstance(outcome, Failed)
    assert runs.state(one.runs[0], tmp_path) in ("missing", "begun")
