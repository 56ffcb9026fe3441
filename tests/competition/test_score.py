"""The formula, the process that runs the networks, and what becomes of its answer."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jstyle.competition.dataset import Dataset, read_dataset
from jstyle.competition.score import report
from jstyle.competition.score.formula import METRICS, compute_total, list_missing, measure_likeness
from jstyle.competition.score.run import ScoreInputs, list_style_pictures, run_scoring
from jstyle.competition.score.scoring import Report, score_submission
from jstyle.errors import InputError
from jstyle.events import Event, Remark
from jstyle.metrics import networks
from jstyle.metrics.networks import NETWORK_METRICS, Answer, ask_networks, give_no_answer
from jstyle.metrics.words import WORDS
from tests.competition.folders import PROMPTS, picture, write_data
from tests.competition.submissions import fail

PERFECT = {"dino": 1.0, "hist": 1.0, "lpips": 0.0, "fid": 0.0, "clip_iqa": 1.0, "clip_r": 1.0}

# Stands in for torch_metrics.py: it answers with what the request asks for.
STAND_IN = """
import json, sys
request = json.load(sys.stdin)
print("busy", file=sys.stderr)
styles = request["styles"]
def each(value):
    return {"pictures": {n: {p: value(n, p) for p in s["generated"]} for n, s in styles.items()}}
answer = {"metrics": {
    "dino": each(lambda n, p: 0.25), "lpips": each(lambda n, p: 0.5), "fid": {"value": 5.0},
    "clip_iqa": each(lambda n, p: 0.5), "clip_iqa_corrected": each(lambda n, p: 0.75),
    "clip_r": each(lambda n, p: float(p.lower() in request["words"] and n == "00"))},
    "failures": {}, "versions": {"torch": "0"}}
words = request["words"][:5]
answer["metrics"]["clip_r"]["likeliest"] = {n: {p: words for p in s["generated"]} for n, s in styles.items()}
CHANGE
json.dump(answer, sys.stdout)
"""


def stand_in(folder: Path, change: str = "") -> Path:
    program = folder / "stand_in.py"
    program.write_text(STAND_IN.replace("CHANGE", change))
    return program


def scored(made: Path, dataset: Dataset, change: str = "") -> Report:
    answer = ask_networks(
        Path(sys.executable), list_style_pictures(made, dataset), program=stand_in(made.parent, change)
    )
    return score_submission(made, dataset, answer)


def test_the_formula() -> None:
    assert compute_total(PERFECT) == pytest.approx(1.0)
    parts = {"dino": 0.3, "hist": 0.6, "lpips": 0.55, "fid": 8.0, "clip_iqa": 0.7, "clip_r": 0.9}
    # (0.06 + 0.24 + 0.18) * (0.45 + 0.4 * 0.6 + 0.07)
    assert compute_total(parts) == pytest.approx(0.48 * 0.76)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("dino", 0.0, 0.8), ("hist", 0.0, 0.6), ("lpips", 1.0, 0.6), ("fid", 10.0, 0.8), ("fid", 20.0, 0.6),
     ("fid", 300.0, 0.6), ("clip_iqa", 0.0, 0.9), ("clip_r", 0.0, 0.5)],
)  # fmt: skip
def test_what_each_metric_weighs(name: str, value: float, expected: float) -> None:
    assert compute_total({**PERFECT, name: value}) == pytest.approx(expected)


@pytest.mark.parametrize("name", METRICS)
def test_there_is_no_total_of_fewer_metrics(name: str) -> None:
    parts = {key: value for key, value in PERFECT.items() if key != name}
    assert list_missing(parts) == [name]
    with pytest.raises(KeyError):
        compute_total(parts)


def test_ranking_uses_the_metrics_that_are_there() -> None:
    assert measure_likeness({"hist": 0.5}) == 0.5
    assert measure_likeness({"hist": 0.5, "lpips": 0.1}) == pytest.approx(0.7)
    assert measure_likeness({"dino": 0.2, "hist": 0.5, "lpips": 0.1, "clip_r": 0.0}) == pytest.approx(0.04 + 0.2 + 0.36)


def test_the_words_are_the_organisers() -> None:
    assert len(WORDS) == len(set(WORDS)) == 215
    assert {"ice cream", "watch", "lobster", "dolphin"} < set(WORDS)


def test_without_networks_the_table_says_what_is_missing(made: Path, dataset: Dataset) -> None:
    done = score_submission(made, dataset, give_no_answer())
    assert done.variants["as executed"].total is None
    assert set(done.variants["corrected"].parts) == {"hist"}
    table = report.write_table(done)
    assert "no total: DINO, LPIPS, FID, CLIP-IQA, CLIP-R missing" in table
    assert "DINO: no --network_python was given" in table
    assert "total as executed" not in table


def test_both_variants_of_the_total(made: Path, dataset: Dataset) -> None:
    done = scored(made, dataset)
    for variant, quality in (("as executed", 0.5), ("corrected", 0.75)):
        one = done.variants[variant]
        hist = sum(one.styles[style]["hist"] for style in PROMPTS) / 2  # the mean of styles, not of pictures
        assert one.parts["hist"] == pytest.approx(hist)
        assert one.parts["clip_r"] == pytest.approx(2 / 5)  # hits over pictures: both of style 00's
        style = 0.2 * 0.25 + 0.4 * hist + 0.4 * 0.5
        assert one.total == pytest.approx(style * (0.5 * 0.4 + 0.4 * 0.75 + 0.1 * quality))
    assert done.variants["as executed"].parts["hist"] != done.variants["corrected"].parts["hist"]
    table = report.write_table(done)
    assert f"total corrected   {done.variants['corrected'].total:.4f}" in table
    assert all(title in table for title in ("DINO", "Hist", "LPIPS", "FID", "CLIP-IQA", "CLIP-R"))


def test_one_metric_that_fails_leaves_the_others(made: Path, dataset: Dataset) -> None:
    change = 'del answer["metrics"]["fid"]; answer["failures"]["fid"] = "OSError: no weights"'
    done = scored(made, dataset, change)
    assert done.variants["as executed"].total is None
    assert done.variants["as executed"].parts["dino"] == 0.25
    assert "no total: FID missing\n  FID: OSError: no weights" in report.write_table(done)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("sys.exit(3)", "exit code 3"),
        ('answer = "nothing"', "cannot be read"),
        ('del answer["metrics"]["dino"]["pictures"]["02"]["Lion"]', "dino of 02/Lion is missing"),
        ('del answer["metrics"]["lpips"]["pictures"]["00"]', "cannot be read"),
        ('print("a library speaks")', "cannot be read"),
    ],
)
def test_a_useless_answer_is_one_line(change: str, said: str, made: Path, dataset: Dataset) -> None:
    with pytest.raises(InputError, match=said):
        scored(made, dataset, change)


def test_a_python_that_is_not_there(made: Path, dataset: Dataset) -> None:
    with pytest.raises(InputError, match="name a Python with PyTorch"):
        ask_networks(made / "python", list_style_pictures(made, dataset))


def test_the_programs_metrics_are_those_that_are_asked_for() -> None:
    source = Path(networks.__file__).with_name("torch_metrics.py").read_text()
    for name in NETWORK_METRICS:
        assert f"def {name}(request" in source
    assert "jstyle" not in source
    compile(source, "torch_metrics.py", "exec")


def test_json_and_picture(made: Path, dataset: Dataset, tmp_path: Path) -> None:
    for index in range(5):  # worst to best: nearer and nearer to the first reference
        blend = Image.blend(picture(999), picture(0), index / 4)
        blend.save(made / "00" / f"{index}.png")
    many = read_dataset(write_data(tmp_path / "more", {"00": [str(index) for index in range(5)]}))
    done = score_submission(made, many, give_no_answer())
    ranked = done.variants["as executed"].rank_prompts("00")
    values = [done.variants["as executed"].pictures["00"][prompt]["hist"] for prompt in ranked]
    assert values == sorted(values)
    report.save_json(done, tmp_path / "out" / "score.json")
    content: dict[str, Any] = json.loads((tmp_path / "out" / "score.json").read_text())
    assert content["scores"]["corrected"]["pictures"]["00"].keys() == {"0", "1", "2", "3", "4"}
    assert set(content["missing"]) == set(NETWORK_METRICS)
    report.save_picture(done, made, many, tmp_path / "out" / "score.png")
    with Image.open(tmp_path / "out" / "score.png") as sheet:
        assert sheet.width > 5 * report.CELL  # a reference, three worst, two best: five pictures are shown once


def test_an_answer_without_pictures_is_an_empty_one() -> None:
    assert Answer() == Answer({}, {}, {}, {}, {})


def run(made: Path, dataset: Dataset, output: Path, **more: Any) -> list[Event]:
    return list(run_scoring(ScoreInputs(dataset.root, made, output, **more)))


def test_the_run(made: Path, dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "score"
    said = [event.text for event in run(made, dataset, out) if isinstance(event, Remark)]
    assert any("no total" in line for line in said)
    assert sorted(path.name for path in out.iterdir()) == ["score.json", "score.png"]
    (made / "00" / "Dolphin.png").unlink()
    (made / "00" / "notes.txt").write_text("x")
    assert fail(run_scoring(ScoreInputs(dataset.root, made, out))) == [
        "'00/Dolphin.png' is missing",
        "'00/notes.txt' does not belong there: the scorer opens every file",
    ]
    assert run(made, dataset, out, styles=("02",))
