"""Recipes whose pictures need something trained, or are made as sets: one command from data to zip."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Dict, List

import pytest

from jstyle.competition import plan
from jstyle.competition.dataset import Findings, read
from jstyle.competition.generate import Job
from jstyle.competition.plan import Plan
from jstyle.jobs.engine import Engine
from jstyle.jobs.task import Done
from jstyle.pictures import images
from jstyle.pictures.finished import pixel_hash
from jstyle.workers.pictures import PACKAGES, WORKER, PictureMaker, methods
from jstyle.workers.training import TRAINER
from tests.competition.folders import picture, write_data
from tests.training.many_styles.small import MODEL, ROOT, lines, main

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


def made_plan(data: Path, text: str) -> Plan:
    (data.parent / "recipe.yaml").write_text(text, encoding="utf-8")
    findings = Findings()
    found = plan.read(data.parent / "recipe.yaml", read(data), methods(), findings)
    assert found is not None, findings.errors
    return found


def job(data: Path, folder: Path, text: str) -> Job:
    return Job(made_plan(data, text), WORKER, PACKAGES, folder, TRAINER)


def submit(data: Path, text: str, monkeypatch: pytest.MonkeyPatch, *more: object) -> int:
    (data.parent / "recipe.yaml").write_text(text, encoding="utf-8")
    words = ["--data", data, "--recipe", data.parent / "recipe.yaml", "--output", data.parent / "out", *more]
    return main("make_submission", words, monkeypatch)


def times(folder: Path) -> Dict[str, int]:
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*.png")}


def test_what_is_missing_is_trained_first_and_a_retrained_adapter_makes_its_pictures_anew(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    assert submit(data, TRAINED, monkeypatch, "--plan") == 0
    said = capsys.readouterr().out
    assert "1 styles to teach: 0 finished before, 1 to train, 2 training steps" in said
    assert "3 from noise, with lora" in said and not out.exists()
    assert submit(data, TRAINED, monkeypatch) == 0, capsys.readouterr().err
    assert (out / "result.zip").is_file()
    (place,) = json.loads((out / "manifest.json").read_text())["trained"].items()
    assert place[0].startswith("02/lora-") and place[1]["finished"]["hash"]
    first = times(out / "pictures")
    shutil.rmtree(out / "trained")
    assert submit(data, TRAINED, monkeypatch) == 0
    assert not (out / "trained").exists() and times(out / "pictures") == first  # nothing needs it any more
    capsys.readouterr()
    again = TRAINED.replace("rank: 2", "rank: 3")
    with pytest.raises(Exception, match="made with adapters"):
        submit(data, again, monkeypatch)
    assert submit(data, again, monkeypatch, "--overwrite") == 0
    changed = {name for name, when in times(out / "pictures").items() if when != first[name]}
    assert changed == {"02/Tree.png", "02/Lion.png", "02/Watch.png"}


def test_changed_references_train_anew(data: Path, tmp_path: Path) -> None:
    (before,) = made_plan(data, TRAINED).trained.values()
    picture(7).save(data / "00" / "images" / "object_0.png")
    (same,) = made_plan(data, TRAINED).trained.values()
    picture(7).save(data / "02" / "images" / "object_0.png")
    (other,) = made_plan(data, TRAINED).trained.values()
    assert before.place == same.place != other.place
    meanings = [task.data["meaning"]["adapters"] for task in job(data, tmp_path, TRAINED).tasks]
    assert meanings == [[]] * 2 + [[{"kind": "lora", "trained": other.identity, "weight": 0.8}]] * 3


def test_where_a_training_fails_the_other_pictures_are_made_and_nothing_is_packed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert submit(data, TRAINED.replace('prompt: "s{style}"', 'prompt: "{nmae}"'), monkeypatch) == 1
    (line,) = set(lines(capsys.readouterr().err))
    assert "cannot be filled in" in line and line.endswith("train.log")
    assert sorted(times(tmp_path / "out" / "pictures")) == ["00/Dolphin.png", "00/Ice cream.png"]
    assert not (tmp_path / "out" / "result.zip").exists()


@pytest.mark.parametrize("features", ["memory", "recompute"])
def test_a_sets_pictures_do_not_depend_on_the_worker_and_cost_what_is_planned(
    features: str, data: Path, tmp_path: Path
) -> None:
    text = ALIGNED.replace("{preset: image}", f"{{preset: image, features: {features}}}")
    text = text.replace("{reference: prompt}", f"{{reference: prompt, settings: {{features: {features}}}}}")
    one, made = job(data, tmp_path / "out", text), made_plan(data, text)
    maker, seen = PictureMaker(str(MODEL)), []
    execute = maker._pipe.unet.execute

    def counted(sample: Any, *rest: Any, **named: Any) -> Any:
        seen.append(sample.shape[0])
        return execute(sample, *rest, **named)

    maker._pipe.unet.execute = counted
    hashes = {}
    for task in one.tasks:
        seen.clear()
        hashes[task.name] = maker.run(task.data)["pixels"]
        assert sum(seen) == made.evaluations[task.name], task.name
    fresh = PictureMaker(str(MODEL))  # the last of each set, without what came before it
    for task in reversed(one.tasks):
        if task.name in ("00/Ice cream.png", "02/Watch.png"):
            assert fresh.run(task.data)["pixels"] == hashes[task.name]
    assert len(set(hashes.values())) == 5


def test_the_first_prompts_picture_is_the_reference_itself(data: Path, tmp_path: Path) -> None:
    own = run(job(data, tmp_path / "set", ALIGNED))
    plain = run(job(data, tmp_path / "plain", ALIGNED.replace("{reference: prompt}", "null")))
    assert own["02/Tree.png"] == plain["02/Tree.png"]
    assert own["02/Lion.png"] != plain["02/Lion.png"]
    assert own["00/Dolphin.png"] == plain["00/Dolphin.png"]


def run(one: Job) -> Dict[str, str]:
    outcomes = list(one.run(Engine(), one.find(overwrite=False)))
    assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes
    return {task.name: pixel_hash(images.open_image(Path(task.data["output"]))) for task in one.tasks}


def test_sets_with_adapters_and_a_start(data: Path, tmp_path: Path) -> None:
    """A set's reference is made anew where another adapter is on the model."""
    text = ALIGNED.replace("steps: 3,", "steps: 3, start: {image: mean, strength: 0.7},").replace(
        '"02": {set: {reference: prompt}}',
        '"02": {prompts: {Lion: {adapters: [{kind: fine_tuning, train: {loop: {steps: 1, rate: 1.0e-3, ema: 0.0}}}]}}}',
    )
    one = job(data, tmp_path / "out", text)
    assert all(isinstance(outcome, Done) for outcome in one.training.run(Engine(), one.training.runs))
    maker = PictureMaker(str(MODEL))
    hashes = {task.name: maker.run(task.data)["pixels"] for task in one.tasks}
    (lion,) = [task for task in one.tasks if task.data["meaning"]["adapters"]]
    assert PictureMaker(str(MODEL)).run(lion.data)["pixels"] == hashes[lion.name]
    fresh = PictureMaker(str(MODEL))
    for task in reversed(one.tasks):
        assert fresh.run(task.data)["pixels"] == hashes[task.name], task.name


def test_references_are_read_from_their_files_names(data: Path, tmp_path: Path) -> None:
    (data / "00" / "images" / "object_0.png").rename(data / "00" / "images" / "Full_moon_.png")
    task = job(
        data, tmp_path / "out", ALIGNED.replace("reference: first", 'reference: Full_moon_, text: "a {name}, {style}"')
    )
    told = task.tasks[0].data["meaning"]["set"]["reference"]
    assert told["text"] == "a full moon, 00"
    assert list(task.tasks[0].data["files"]) == [told["picture"]]


@pytest.mark.parametrize("base", [None, "sd21"])
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_plans(name: str, base: Any, data: Path) -> None:
    file, findings = ROOT / "configs" / f"submission_{name}.yaml", Findings()
    found = plan.read(file, read(data), methods(), findings, base, {"model": str(MODEL)})
    assert found is not None and not findings.lines()
    assert found.checkpoint.size == ((512, 512) if base else found.checkpoint.size)
    kinds = {run.method for run in found.trained.values()}
    assert kinds == {"style_aligned": set(), "textual_inversion": {"textual_inversion"}}.get(name, {"lora"})
    for run in found.trained.values():
        assert run.settings.recompute == bool(base) and run.settings.width == found.checkpoint.size[0]
    for one in found.pictures:
        tokens = [run.settings.token for run in found.trained.values() if run.method == "textual_inversion"]
        assert not tokens or any(
            token in one.picture.prompt.format(prompt="x", style=one.style.number) for token in tokens
        )


def test_presets_are_found_by_name(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    words: List[object] = ["--data", data, "--output", data.parent / "out", "--model", MODEL, "--plan"]
    assert main("make_submission", [*words, "--preset", "baseline"], monkeypatch) == 0
    assert "1000 training steps" in capsys.readouterr().out
    for wrong, said in ((["--preset", "basline"], "lora+styleid"), ([], "either a --recipe or a --preset")):
        with pytest.raises(SystemExit):
            main("make_submission", [*words, *wrong], monkeypatch)
        assert said in capsys.readouterr().err
