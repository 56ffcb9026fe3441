"""How styles are trained: settings of methods, of single styles, of the command line; what a run is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jstyle.errors import InputError
from jstyle.settings.model import ModelSettings
from jstyle.settings.reader import plain
from jstyle.training.many_styles.folders import StylePictures
from jstyle.training.many_styles.recipe import parse_changes, plan_trainings, read_recipe
from jstyle.training.many_styles.spec import plan_training, read_spec
from jstyle.training.teaching.table import TEACHINGS, list_attachable
from jstyle.weights.description import describe_checkpoint
from tests.competition.folders import picture, write_data
from tests.training.many_styles.small import MODEL, RECIPE, ROOT, training, write

SHIPPED = ROOT / "configs" / "train_style.yaml"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


def test_a_narrower_setting_wins_and_the_rest_stays(data: Path, tmp_path: Path) -> None:
    text = RECIPE + '  "00": {flip: true, rank: 5, lora: {rank: 3, loop: {rate: 0.5}}}\n'
    first, second = (run.settings for run in training(data, tmp_path, text, changes={"loop": {"seed": 9}}).trainings)
    assert (first.rank, first.flip, first.loop.rate, first.loop.steps, first.loop.seed) == (3, True, 0.5, 2, 9)
    assert (second.rank, second.flip, second.loop.rate, second.loop.steps) == (2, False, 1e-2, 40)
    assert (first.prompt, first.validation_prompts) == ("{name}, s00", ("a house, s00",))
    assert (first.model.model, first.width, first.loop.clip) == (str(MODEL), 32, 1.0)
    assert [path.name for path in first.data] == ["object_0.png", "object_1.png"]


def test_what_is_not_set_is_the_trainers_own(data: Path, tmp_path: Path) -> None:
    (run, _) = training(data, tmp_path, f"model: {MODEL}\ndreambooth: {{loop: {{steps: 7}}}}", "dreambooth").trainings
    assert (run.settings.loop.rate, run.settings.class_pictures.class_images) == (5e-6, 200)


def test_a_name_with_spaces_makes_a_word(tmp_path: Path) -> None:
    picture(1).save(tmp_path / "a.png")
    run = plan_training(
        TEACHINGS["textual_inversion"],
        {"token": "<s-{style}>"},
        style="old ink, wet",
        pictures=[tmp_path / "a.png"],
        model=ModelSettings(),
        checkpoint=describe_checkpoint(ModelSettings()),
    )
    assert run.settings.token == "<s-old_ink_wet>"


def identity(data: Path, folder: Path, **changes: Any) -> str:
    return training(data, folder, changes=changes).trainings[0].identity


def test_what_a_run_is_follows_from_what_decides_its_result(data: Path, tmp_path: Path) -> None:
    own = identity(data, tmp_path)
    free: Mapping[str, Any] = {"recompute": True, "validation_prompts": ["x"], "loop": {"checkpoint_every": 3}}
    assert identity(data, tmp_path / "elsewhere", **free) == own
    for changes in ({"rank": 3}, {"loop": {"seed": 1}}, {"flip": True}, {"loss": {"min_snr": 5.0}}):
        assert identity(data, tmp_path, **changes) != own, changes
    moved = data.rename(tmp_path / "moved")
    assert identity(moved, tmp_path) == own
    image = moved / "00" / "images" / "object_0.png"
    image.with_suffix(".txt").write_text("a boat")
    captioned = identity(moved, tmp_path)
    image.with_suffix(".txt").unlink()
    renamed = image.rename(image.with_name("boat.png"))
    assert len({own, captioned, identity(moved, tmp_path)}) == 3
    renamed.rename(image)
    picture(99).save(image)
    assert identity(moved, tmp_path) != own


def test_another_noise_schedule_makes_another_training(data: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(MODEL, tmp_path / "model"))
    text = RECIPE.replace(str(MODEL), str(model))
    before = training(data, tmp_path, text).trainings[0]
    file = model / "scheduler" / "scheduler_config.json"
    content = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**content, "beta_end": 0.013}), "utf-8")
    after = training(data, tmp_path, text).trainings[0]
    assert after.identity != before.identity and after.spec.model == before.spec.model


def test_settings_of_the_command_line() -> None:
    words = ["loop.steps=5", "loop.rate=0.5", "rank=3", "prompt=a: b", "class_prompt=null"]
    expected = {"loop": {"steps": 5, "rate": 0.5}, "rank": 3, "prompt": "a: b", "class_prompt": None}
    words[3] = 'prompt="a: b"'
    assert parse_changes(words) == expected
    for wrong in ("steps", "=5", "a=[1", "a..b=1", f"{'a.' * 100_000}b=1", "\x1b[31m"):
        with pytest.raises(InputError, match="is no setting|^the setting .* is not YAML"):
            parse_changes([wrong])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lora: {rnak: 3}", "lora: unknown setting 'rnak' (did you mean rank?)"),
        ("lora: {rank: 0}", "lora: rank must be from 1 to"),
        ("lora: 5", "lora: settings (name: value) are needed, not 5"),
        ("lora: {data: x}", "lora: data is the job's own"),
        ("lora: {loop: {stesp: 3}}", "lora: loop: unknown setting 'stesp' (did you mean steps?)"),
        ("lora: {loop: 3}", "lora: loop must be settings (name: value), not 3"),
        ("loar: {rank: 3}", "recipe: unknown setting 'loar'"),
        ("styles: [1]", "styles: settings (name: value) are needed"),
        ("styles: {2: {rank: 3}}", 'styles: write names in quotes, such as "07", not 2'),
        ("styles: {~: {rank: 3}}", 'styles: write names in quotes, such as "07", not null'),
        ('styles: {"02": {lora: {rnak: 3}}}', "styles.02.lora: unknown setting 'rnak'"),
        ('styles: {"02": {token: x}}', "styles.02: unknown setting 'token'"),
        ('styles: {"02": {textual_inversion: {rank: 3}}}', "styles.02.textual_inversion: unknown setting 'rank'"),
        ("model: nowhere", "no model 'nowhere'"),
        ("bases: 3", "bases: a mapping"),
        ("- lora", "is not a mapping"),
    ],
)
def test_a_malformed_recipe_is_one_line(text: str, said: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        training(data, tmp_path / "out", text)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_base_lies_over_the_recipe(tmp_path: Path) -> None:
    text = "lora: {rank: 3, loop: {steps: 5}}\nbases: {big: {model: m, width: 512, lora: {loop: {rate: 0.5}}}}"
    recipe = read_recipe(write(tmp_path, text), "big", {"model": "n"})
    assert (recipe.model.model, recipe.width) == ("n", 512)
    assert recipe.teachings["lora"] == {"rank": 3, "loop": {"steps": 5, "rate": 0.5}}
    with pytest.raises(InputError, match=r"has no base 'small' \(there are: big\)"):
        read_recipe(tmp_path / "train.yaml", "small")


@pytest.mark.parametrize("base", [None, "sd21"])
@pytest.mark.parametrize("method", list(list_attachable()))
def test_the_shipped_recipe_is_valid(method: str, base: Any, tmp_path: Path) -> None:
    picture(1).save(tmp_path / "a.png")
    recipe = read_recipe(SHIPPED, base, {"model": str(MODEL)})
    style = StylePictures("07", (tmp_path / "a.png",))
    # its content counts, and nothing is fetched here
    changes = {"image_encoder": "tiny"} if "image_encoder" in recipe.teachings[method] else {}
    (run,) = plan_trainings(recipe, [style], TEACHINGS[method], describe_checkpoint(recipe.model), changes)
    assert (run.settings.width, run.settings.recompute) == ((512, True) if base else (None, False))
    assert run.settings.loop.checkpoint_every <= min(100, run.steps / 2)
    # no sheet in the middle of a training, and both sheets with the words that are learnt
    assert run.settings.validation_every >= run.steps
    assert all("07" in text or "{token}" in text for text in run.settings.validation_prompts)
    if method == "dreambooth":  # the class is drawn as the taught pictures are looked at
        assert run.settings.class_pictures.class_guidance == run.settings.guidance


def test_kernels_are_compiled_once_for_all_styles_of_a_recipe(data: Path, tmp_path: Path) -> None:
    """Names and lengths change none; what is computed otherwise may."""

    def kinds(**changes: Any) -> list[str]:
        return [one.kind for one in training(data, tmp_path, changes=changes).trainings]

    first, second = kinds()
    assert first == second
    for changes in ({"rank": 3}, {"recompute": True}, {"loop": {"clip": None}}, {"precision": "fp16"}):
        assert kinds(**changes)[0] != first, changes
    assert kinds(loop={"steps": 9})[0] == first


def test_a_spec_comes_back_from_json(data: Path, tmp_path: Path) -> None:
    for one in training(data, tmp_path).trainings:
        assert read_spec(json.loads(json.dumps(plain(one.spec)))) == one.spec


def test_a_section_may_say_another_precision_than_the_pictures(data: Path, tmp_path: Path) -> None:
    text = RECIPE.replace("width: 32", "precision: bf16\nwidth: 32")
    with pytest.raises(InputError, match="lora: precision must be fp32 or fp16 for training, not bf16"):
        training(data, tmp_path, text)
    (one, _) = training(data, tmp_path, text, changes={"precision": "fp32"}).trainings
    assert one.settings.model.precision == "fp32"
