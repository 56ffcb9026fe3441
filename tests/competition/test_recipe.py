"""Which settings each picture gets, and what is the identity of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import pytest

from jstyle.competition import recipe as recipes
from jstyle.competition.dataset import Dataset, read
from jstyle.competition.recipe import Planned
from jstyle.competition.settings import Model
from jstyle.competition.tasks import tasks
from jstyle.workers.pictures import methods
from tests.competition.folders import picture, write_data

TEXT = """
model: tiny
picture:
  prompt: "{prompt} in {{style}} {style}"
  steps: 10
  seed: 100
  start: {image: mean, strength: 0.5}
styles:
  "02":
    steps: 20
    start: {image: object_1}
    prompts:
      Lion: {seed: 7, start: null}
  "00":
    seed: [5, 3]
    finish: {method: styleid, settings: {gamma: 0.3}}
"""


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return read(write_data(tmp_path / "data"))


def planned(dataset: Dataset, text: str, folder: Path) -> List[Planned]:
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    made, findings = recipes.lay_over(recipes.load(folder / "recipe.yaml"), dataset, methods())
    assert not findings.errors
    return made


def test_the_narrower_setting_replaces_the_wider_as_a_whole(dataset: Dataset, tmp_path: Path) -> None:
    made = {one.prompt: one.picture for one in planned(dataset, TEXT, tmp_path)}
    assert list(made) == ["Dolphin", "Ice cream", "Tree", "Lion", "Watch"]
    assert [one.steps for one in made.values()] == [10, 10, 20, 20, 20]
    assert [one.seed for one in made.values()] == [5, 3, 100, 7, 102]
    assert [one.start and (one.start.image, one.start.strength) for one in made.values()] == [
        ("mean", 0.5),
        ("mean", 0.5),
        ("object_1", 0.85),  # not 0.5: start is replaced as a whole
        None,
        ("object_1", 0.85),
    ]
    assert [one.finish is not None for one in made.values()] == [True, True, False, False, False]


def test_a_setting_for_a_style_that_is_not_there_is_a_remark(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text('styles: {"05": {steps: 4}}')
    made, findings = recipes.lay_over(recipes.load(tmp_path / "recipe.yaml"), dataset, methods())
    assert (len(made), findings.errors) == (5, [])
    assert findings.remarks == ["styles.05: the dataset has no such style"]


def made_tasks(dataset: Dataset, text: str, folder: Path) -> Dict[str, Any]:
    made = tasks(planned(dataset, text, folder), Model(), "hash", (32, 32), folder / "out")
    return {task.name: task for task in made}


def test_tasks_say_what_a_picture_is_and_where_files_lie(dataset: Dataset, tmp_path: Path) -> None:
    made = made_tasks(dataset, TEXT, tmp_path)
    lion, dolphin = made["02/Lion.png"].data, made["00/Dolphin.png"].data
    assert lion["meaning"]["prompt"] == "Lion in {style} 02"
    assert lion["output"] == str(tmp_path / "out" / "02" / "Lion.png")
    assert len(dolphin["meaning"]["start"]["mean_of"]) == 2
    assert set(dolphin["files"]) == set(dolphin["meaning"]["start"]["mean_of"])
    assert dolphin["meaning"]["finish"]["references"] == dolphin["meaning"]["start"]["mean_of"]
    assert len(made["02/Tree.png"].data["meaning"]["start"]["mean_of"]) == 1
    assert len({task.kind for task in made.values()}) == 3  # with a start, without, with a finish


def test_a_changed_file_makes_another_picture_a_moved_one_does_not(dataset: Dataset, tmp_path: Path) -> None:
    before = made_tasks(dataset, TEXT, tmp_path)
    moved = read(dataset.root.rename(tmp_path / "elsewhere"))
    after = made_tasks(moved, TEXT, tmp_path)
    for name, task in before.items():
        assert after[name].data["meaning"] == task.data["meaning"]
    picture(77).save(moved.styles[1].references[1])
    changed = made_tasks(moved, TEXT, tmp_path)
    same = [name for name, task in before.items() if changed[name].data["meaning"] == task.data["meaning"]]
    assert same == ["00/Dolphin.png", "00/Ice cream.png", "02/Lion.png"]


def test_a_start_is_a_reference_or_a_file(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(5).save(tmp_path / "sea.png")
    (tmp_path / "object_1").write_bytes(b"a file with a reference's name")
    monkeypatch.chdir(tmp_path)
    for name, file in (("sea.png", tmp_path / "sea.png"), ("object_1", dataset.styles[1].references[1])):
        data = made_tasks(dataset, f"picture: {{start: {{image: {name}}}}}", tmp_path)["02/Lion.png"].data
        assert list(data["files"].values()) == [str(file)]


@pytest.mark.parametrize("change", ["steps: 11", "seed: 101", "guidance: 2", "negative_prompt: x", "sampler: euler"])
def test_every_setting_makes_another_picture(change: str, dataset: Dataset, tmp_path: Path) -> None:
    one = made_tasks(dataset, "picture: {eta: 0.0}", tmp_path)["02/Lion.png"]
    other = made_tasks(dataset, f"picture: {{eta: 0.0, {change}}}", tmp_path)["02/Lion.png"]
    assert one.data["meaning"] != other.data["meaning"]


@pytest.mark.parametrize("config", sorted((Path(__file__).parents[2] / "configs").glob("submission*.yaml")))
def test_every_shipped_recipe_is_valid(config: Path, dataset: Dataset) -> None:
    made, findings = recipes.lay_over(recipes.load(config), dataset, methods())
    assert len(made) == 5
    assert not findings.lines()
