"""Which settings each picture gets, and what is the identity of a picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jstyle.competition.dataset import Dataset, read_dataset
from jstyle.competition.recipe import RecipePicture, lay_over, load_recipe
from jstyle.competition.spec import read_spec
from jstyle.competition.tasks import PictureTask, plan_tasks
from jstyle.competition.trainings import Trainings
from jstyle.methods.table import METHODS
from jstyle.pictures.spec import ModelIdentity
from jstyle.settings.identity import digest
from jstyle.weights.description import Checkpoint
from style_align.settings import PRESETS, Sharing
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
    return read_dataset(write_data(tmp_path / "data"))


SIZE = (32, 32)


def lay(dataset: Dataset, text: str, folder: Path) -> list[RecipePicture]:
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    pictures, findings = lay_over(load_recipe(folder / "recipe.yaml"), dataset, SIZE)
    assert not findings.errors
    return pictures


def test_the_narrower_setting_replaces_the_wider_as_a_whole(dataset: Dataset, tmp_path: Path) -> None:
    made = {picture.prompt: picture.settings for picture in lay(dataset, TEXT, tmp_path)}
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
    made, findings = lay_over(load_recipe(tmp_path / "recipe.yaml"), dataset, SIZE)
    assert (len(made), findings.errors) == (5, [])
    assert findings.remarks == ["styles.05: the dataset has no such style"]


def plan(dataset: Dataset, text: str, folder: Path) -> dict[str, PictureTask]:
    pictures = lay(dataset, text, folder)
    trainings = Trainings(folder, Checkpoint(None, "hash", "configuration", SIZE))
    tasks = plan_tasks(pictures, ModelIdentity("hash", "configuration"), SIZE, folder / "out", trainings)
    return {task.name: task for task in tasks}


def test_tasks_say_what_a_picture_is_and_where_files_lie(dataset: Dataset, tmp_path: Path) -> None:
    tasks = plan(dataset, TEXT, tmp_path)
    lion, dolphin, tree = (tasks[name].spec for name in ("02/Lion.png", "00/Dolphin.png", "02/Tree.png"))
    assert lion.prompt == "Lion in {style} 02"
    assert tasks["02/Lion.png"].to_task().data["output"] == str(tmp_path / "out" / "02" / "Lion.png")
    assert dolphin.start is not None and dolphin.finish is not None and tree.start is not None
    assert len(dolphin.start.mean_of) == 2
    assert set(tasks["00/Dolphin.png"].files) == set(dolphin.start.mean_of)
    assert dolphin.finish.references == dolphin.start.mean_of
    assert (dolphin.finish.settings.gamma, dolphin.finish.settings.width) == (0.3, 32)
    assert len(tree.start.mean_of) == 1
    assert len({task.to_task().kind for task in tasks.values()}) == 3  # with a start, without, with a finish


@pytest.mark.parametrize("text", [TEXT, "picture: {set: {reference: prompt}}", "picture: {set: {reference: object_1}}"])
def test_a_spec_travels_as_json(text: str, dataset: Dataset, tmp_path: Path) -> None:
    for task in plan(dataset, text, tmp_path).values():
        data = json.loads(json.dumps(task.to_task().data))
        assert read_spec(data["spec"]) == task.spec


def test_a_changed_file_makes_another_picture_a_moved_one_does_not(dataset: Dataset, tmp_path: Path) -> None:
    before = plan(dataset, TEXT, tmp_path)
    moved = read_dataset(dataset.root.rename(tmp_path / "elsewhere"))
    after = plan(moved, TEXT, tmp_path)
    for name, task in before.items():
        assert digest(after[name].spec) == digest(task.spec)
    picture(77).save(moved.styles[1].references[1])
    changed = plan(moved, TEXT, tmp_path)
    same = [name for name, task in before.items() if digest(changed[name].spec) == digest(task.spec)]
    assert same == ["00/Dolphin.png", "00/Ice cream.png", "02/Lion.png"]


def test_a_start_is_a_reference_or_a_file(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(5).save(tmp_path / "sea.png")
    (tmp_path / "object_1").write_bytes(b"a file with a reference's name")
    monkeypatch.chdir(tmp_path)
    for name, file in (("sea.png", tmp_path / "sea.png"), ("object_1", dataset.styles[1].references[1])):
        task = plan(dataset, f"picture: {{start: {{image: {name}}}}}", tmp_path)["02/Lion.png"]
        assert list(task.to_task().data["files"].values()) == [str(file)]


@pytest.mark.parametrize(
    "change",
    [
        "steps: 11",
        "seed: 101",
        "guidance: 2",
        "negative_prompt: x",
        "sampler: euler",
        "finish: {method: styleid}",
        "finish: {method: styleid, reference: random}",
        "finish: {method: styleid, settings: {gamma: 0.31}}",
        "set: {reference: prompt}",
        "set: {reference: first}",
        "set: {reference: first, settings: {preset: image}}",
        "set: {reference: first, text: a thing}",
    ],
)
def test_every_setting_makes_another_picture(change: str, dataset: Dataset, tmp_path: Path) -> None:
    before = plan(dataset, "picture: {eta: 0.0}", tmp_path)["02/Lion.png"]
    after = plan(dataset, f"picture: {{eta: 0.0, {change}}}", tmp_path)["02/Lion.png"]
    assert digest(before.spec) != digest(after.spec)


def test_a_changed_default_of_a_method_makes_another_picture(dataset: Dataset, tmp_path: Path) -> None:
    """A spec says every setting that changes the result, those too that a recipe leaves to the method."""
    text = "picture: {finish: {method: styleid, settings: {gamma: 0.3}}, set: {settings: {preset: image}}}"
    spec = plan(dataset, text, tmp_path)["02/Lion.png"].spec
    assert spec.finish is not None and spec.set is not None
    for method, settings in (("styleid", spec.finish.settings), ("style_align", spec.set.settings)):
        assert type(settings) is METHODS[method].settings


def test_how_a_set_is_written_down_does_not_matter(dataset: Dataset, tmp_path: Path) -> None:
    """A default that is written out is the same picture."""
    texts = ["{}", "{style_strength: 1.0, features: memory}", "{preset: image, adain_keys: true}"]
    digests = {
        digest(plan(dataset, f"picture: {{set: {{settings: {text}}}}}", tmp_path)["02/Lion.png"].spec) for text in texts
    }
    assert len(digests) == 1


def test_another_preset_of_the_code_makes_another_picture(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = plan(dataset, "picture: {set: {}}", tmp_path)["02/Lion.png"]
    monkeypatch.setattr("style_align.settings.PRESETS", {**PRESETS, "image": (10.0, Sharing(shared_score_shift=0.5))})
    after = plan(dataset, "picture: {set: {}}", tmp_path)["02/Lion.png"]
    assert digest(before.spec) != digest(after.spec)


@pytest.mark.parametrize("config", sorted((Path(__file__).parents[2] / "configs").glob("submission*.yaml")))
def test_every_shipped_recipe_is_valid(config: Path, dataset: Dataset) -> None:
    made, findings = lay_over(load_recipe(config), dataset, SIZE)
    assert len(made) == 5
    assert not findings.errors and not findings.remarks
