"""The command's run: what it writes, what it skips, what it refuses, and that its plan is what it does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Evaluated, Event, Failure, PictureWritten, Planned
from jstyle.networks import UNet2DConditionModel
from jstyle.pictures import images, png_texts
from jstyle.pictures.spec import ModelIdentity
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.model import ModelSettings
from jstyle.settings.words import parse_words
from style_align import METHOD
from style_align.files import ReferenceSubject, SetFiles, SetSubject
from style_align.inputs import SetInputs
from style_align.settings import SamplingSettings, StyleAlignSettings
from tests.parity.networks import GOLDEN
from tests.telling import contents, plan

ROOT = Path(__file__).resolve().parents[2]
MODEL = GOLDEN / "diffusers_folder"
SMALL = ["--model", MODEL, "--steps", 2, "--width", 32, "--height", 32]


def run(*words: object) -> list[Event]:
    """The events of ``jstyle style-align WORDS``."""
    kinds = (SetInputs, StyleAlignSettings, ModelSettings)
    return list(METHOD.start(*parse_words(kinds, [str(word) for word in words], "style-align", "")))


def spec(path: Path) -> dict[str, Any]:
    metadata: Any = png_texts.read_metadata(path)
    assert metadata is not None
    return metadata["spec"]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(2).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(pixels).resize((40, 40)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_a_set_from_texts_and_going_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    texts = ["--prompt", "a toy train", "a toy car", "A toy boat!"]
    words = [*SMALL, "--style_text", "macro photo", "--output", out, *texts]
    run(*words)
    first, *names = [f"0{n}_a_toy_{what}_macro_photo.png" for n, what in enumerate(("train", "car", "boat"), 1)]
    assert sorted(contents(out)) == [first, *names, "contact_sheet.png"]
    reference = {
        "prompt": "a toy train, macro photo",
        "seed": 0,
        "file": None,
        "companions": [],
        "picture_file": "",
        "saved_file": "",
    }
    told = spec(out / names[0])
    assert told["subject"]["companions"] == []
    assert (told["method"], told["subject"]["prompt"], told["subject"]["seed"]) == (
        "style_align", "a toy car, macro photo", 1,
    )  # fmt: skip
    assert {told["settings"][name] for name in ("preset", "guidance", "share_group_norm")} == {"sd", 7.5, True}
    assert told["settings"]["steps"] == 2
    assert told["subject"]["references"] == [reference]
    assert spec(out / first)["subject"] == reference
    assert len(told["model"]["hash"]) == 64
    before = contents(out)
    (out / names[1]).unlink()
    again = run(*words, "--batch_size", 1)
    assert (plan(again).pictures, plan(again).finished) == (3, 2)
    assert [event.path.name for event in again if isinstance(event, PictureWritten)] == names[1:]
    assert images.open_image(out / names[1]).size == (32, 32)
    assert contents(out)[names[0]] == before[names[0]]
    for words_more, said in (
        (["--style_strength", 0.5], r"settings.style_strength = 1.0, not 0.5; --overwrite"),
        (["--steps", 3], r"settings.steps = 2, not 3"),
        (["--seed", 1], r"subject.seed = 1, not 2"),
    ):
        with pytest.raises(InputError, match=said):
            run(*words, *words_more)


def test_a_finished_set_is_left_alone_and_half_a_picture_is_made_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [*SMALL, "--output", out, "--prompt", "a toy train", "a toy car"]
    run(*words)
    before = contents(out)
    again = run(*words)
    assert plan(again) == Planned(2, 2, 0)
    assert contents(out) == before
    for name in ("01_a_toy_train.png", "02_a_toy_car.png"):
        (out / name).write_bytes(before[name][:-40])
        written = [event.path.name for event in run(*words) if isinstance(event, PictureWritten)]
        assert written == [name]
        assert contents(out) == before


def test_a_reference_from_a_picture_is_saved_and_used_again(tmp_path: Path, photo: Path) -> None:
    first, second, kept = tmp_path / "first", tmp_path / "second", tmp_path / "kept.safetensors"
    from_picture = ["--reference_image", photo, "--reference_prompt", "a train", "--save_reference", kept]
    run(*SMALL, "--prompt", "a car", "--style", "oil", "--output", first, *from_picture)
    assert kept.is_file()
    told = spec(first / "01_a_car_oil.png")["settings"]
    assert (told["preset"], told["guidance"], told["offset"]) == ("image", 10.0, 0)
    run(*SMALL, "--prompt", "a car", "--style", "oil", "--output", second, "--reference", kept)
    pictures = [np.asarray(images.open_image(folder / "01_a_car_oil.png")) for folder in (first, second)]
    assert np.array_equal(*pictures)
    with pytest.raises(InputError, match="steps = 2"):
        run(*SMALL[:2], "--steps", 3, "--prompt", "a car", "--output", second, "--reference", kept)
    with pytest.raises(InputError, match="other weights"):
        run("--model", "tiny", "--steps", 2, "--prompt", "a car", "--output", second, "--reference", kept)


def test_another_reference_in_the_place_of_the_saved_one_is_found_first(
    tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept.safetensors"
    words = [*SMALL, "--prompt", "a car", "--reference_prompt", "a train", "--save_reference", kept]
    run(*words, "--output", tmp_path / "first")
    run(*words, "--output", tmp_path / "again")  # the same reference

    def refuse(model: ModelSettings) -> None:
        raise AssertionError("the model is loaded")

    monkeypatch.setattr(StableDiffusionPipeline, "from_settings", refuse)
    changes: list[list] = [
        ["--reference_prompt", "a ship"],
        ["--negative_prompt", "fog"],
        ["--guidance", 3],
        ["--reference_image", photo],
    ]
    for change in changes:
        with pytest.raises(InputError, match=r"kept\.safetensors' holds another reference; --overwrite replaces it"):
            run(*words, *change, "--output", tmp_path / "other")
    kept.write_bytes(b"somebody's")
    with pytest.raises(InputError, match=r"kept\.safetensors' exists, but is no saved reference"):
        run(*words, "--output", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_finished_or_refused_set_loads_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*SMALL, "--output", tmp_path / "out", "--prompt", "a toy train", "a toy car"]
    run(*words)

    def refuse(model: ModelSettings) -> None:
        raise AssertionError("the model is loaded")

    monkeypatch.setattr(StableDiffusionPipeline, "from_settings", refuse)
    assert plan(run(*words)) == Planned(2, 2, 0)
    for change, said in ((["--steps", 3], "steps = 2, not 3"), (["--layer_start", 99], "layer")):
        with pytest.raises(InputError, match=said):
            run(*words, *change)


def test_a_sheet_takes_nobodys_file(tmp_path: Path) -> None:
    words = [*SMALL, "--output", tmp_path, "--prompt", "a toy train", "a toy car"]
    Image.new("RGB", (8, 8)).save(tmp_path / "contact_sheet.png")
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"contact_sheet\.png' exists, but jstyle did not make it"):
        run(*words)
    assert contents(tmp_path) == before
    run(*words, "--overwrite")
    run(*words)


def test_a_panorama(tmp_path: Path) -> None:
    words = ["--panorama", "--width", 96, "--height", 64, "--stride", 4, "--circular", "--steps", 2, "--model", MODEL]
    run(*words, "--reference_prompt", "a sea", "--prompt", "hills", "a town", "--output", tmp_path / "out")
    assert images.open_image(tmp_path / "out" / "01_hills.png").size == (96, 64)
    assert images.open_image(tmp_path / "out" / "reference.png").size == (64, 64)


TEXTS = ["--prompt", "a train", "a car", "a boat", "a cat"]
WIDE = ["--panorama", "--width", 96, "--stride", 4]
BESIDE = ["--prompt", "a car", "a boat", "--reference_prompt", "a train"]


@pytest.mark.parametrize("features", ["memory", "recompute", "auto"])
@pytest.mark.parametrize(
    "words",
    [
        [*TEXTS, "--batch_size", 2],
        [*TEXTS, "--guidance", 0.5],
        [*TEXTS, "--sampler", "pndm", "--step_stop", 1],
        [*TEXTS, "--style_strength", 0],
        [*TEXTS, "--preset", "full_attention"],
        [*TEXTS, "--image", "{photo}", "--image_strength", 0.5],
        [*BESIDE, "--reference_image", "{photo}", "--inversion_guidance", 1],
        [*BESIDE, "--reference_image", "{photo}", "--save_reference", "{kept}"],
        [*BESIDE, "--reference_image", "{photo}", "--preset", "full_attention"],
        [*BESIDE, "a bus", "--batch_size", 1],
        [*TEXTS, *WIDE, "--batch_size", 2],
        [*BESIDE, "--reference_image", "{photo}", *WIDE, "--circular"],
    ],
    ids=lambda words: "_".join(str(word).strip("-{}") for word in words if word not in TEXTS[1:])[:60],
)
def test_the_plan_is_what_goes_through_the_unet(
    words: list, features: str, tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    execute = UNet2DConditionModel.execute

    def count(self: Any, sample: Any, *arguments: Any, **options: Any) -> Any:
        rows.append(sample.shape[0])
        return execute(self, sample, *arguments, **options)

    monkeypatch.setattr(UNet2DConditionModel, "execute", count)
    paths = {"photo": photo, "kept": tmp_path / "kept.safetensors"}
    size = [] if "--panorama" in words else ["--width", 32, "--height", 32]
    common = ["--model", MODEL, "--steps", 3, *size, "--features", features, "--output", tmp_path / "out"]
    events = run(*common, *(str(word).format(**paths) for word in words))
    counts = [event.count for event in events if isinstance(event, Evaluated)]
    assert min(counts) > 0
    assert sum(rows) == sum(counts) == plan(events).evaluations


OUT = ["--output", "never-made"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "prompt"),
        (["--prompt", "a cat", *OUT], "at least two texts"),
        (["--prompt", "a cat", "a dog", *OUT, "--preset", "sdxxl"], "preset"),
        (["--prompt", "a cat", "a dog", *OUT, "--styl", "oil"], "did you mean --style"),
        (["--prompt", "a cat", *OUT, "--reference_image", "x.png"], "at least two texts"),
        (["--prompt", "a cat", "b", *OUT, "--reference_image", "x.png"], "--reference_prompt for each"),
        (["--prompt", "a cat", "b", *OUT, "--reference_weights", "1", "2"], "2 --reference_weights for 1"),
        (["--prompt", "a", "b", "c", "d", *OUT, "--image", "x.png", "y.png"], "2 pictures to start 3 from"),
        (["--prompt", "a", *OUT, "--reference", "x", "y", "--save_reference", "z"], "one after another"),
        (["--prompt", "a", "b", *OUT, "--steps", "0"], "steps"),
        (["--prompt", "a", "b", *OUT, "--circular"], "--panorama"),
        (["--prompt", "a", "b", *OUT, "--height", "0"], "height must be from 1 to 16384, not 0"),
        (["--reference_image", "{broken}", "--reference_prompt", "x"], "broken.png"),
        (["--image", "{broken}", "--reference_prompt", "x"], "broken.png"),
        (["--reference", "{broken}"], "no saved reference"),
        (["--reference", "nowhere"], "nowhere"),
        (["--reference_prompt", "x", "--model", "nowhere-at-all"], "nowhere-at-all"),
        (["--prompt", "a", "b", "--output", "{broken}", "--model", "nowhere-at-all"], "is a file, not a folder"),
        (["--reference_prompt", "x", "--model", str(MODEL), "--width", "33"], "multiple of"),
        (["--reference_prompt", "x", "y", "--model", str(MODEL), "--reference_weights", "1", "-1"], "positive"),
    ],
)
def test_what_is_wrong_is_one_line(words: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    if OUT[0] not in words and words:
        words = ["--prompt", "a cat", "--output", str(tmp_path / "out"), *words]
    with pytest.raises(InputError) as caught:
        run(*(word.format(broken=tmp_path / "broken.png") for word in words))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert not Path("never-made").exists()


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("style_align*.yaml")))
def test_every_shipped_config_is_valid(config: Path) -> None:
    words = ["--config", str(config), "--prompt", "a", "b", "--output", "c"]
    _, settings, model = parse_words((SetInputs, StyleAlignSettings, ModelSettings), words, "style-align", "")
    assert settings.sampling.steps == 50
    assert model.model


def test_names_never_collide_and_a_set_that_depends_on_itself_is_made_whole(tmp_path: Path) -> None:
    references = [ReferenceSubject("x", 0), ReferenceSubject("y", 1)]
    texts = ["a cat", "a cat", "星"]
    targets = [SetSubject(text, seed, tuple(references)) for seed, text in enumerate(texts, 1)]
    files = SetFiles(
        tmp_path / "out", "style_align", ModelIdentity("0", "1"), StyleAlignSettings().fill(False), targets, references
    )
    assert [path.name for path in files.targets] == ["01_a_cat.png", "02_a_cat.png", "03_星.png"]
    assert [path.name for path in files.references] == ["reference.png", "reference_2.png"]
    everything = {*files.targets, *files.references}
    assert files.list_unfinished(whole=False) == everything
    assert files.write(files.targets[1], Image.new("RGB", (8, 8))) == PictureWritten(files.targets[1])
    assert files.list_unfinished(whole=False) == everything - {files.targets[1]}
    assert files.list_unfinished(whole=True) == everything
    failure = files.write(files.targets[0], None)
    assert isinstance(failure, Failure)
    assert "not finite" in failure.reason
    for path in files.references:
        files.write(path, Image.new("RGB", (8, 8), "red"))
    files.write_sheet()
    assert images.open_image(tmp_path / "out" / "contact_sheet.png").width > 3 * 192


def test_two_runs_at_once_do_not_write_over_each_other(tmp_path: Path) -> None:
    def open_files(seed: int, *, overwrite: bool = False) -> SetFiles:
        references = [ReferenceSubject("x", 0)]
        targets = [SetSubject("a cat", seed, tuple(references))]
        settings = StyleAlignSettings().fill(False)
        return SetFiles(
            tmp_path, "style_align", ModelIdentity("0", "1"), settings, targets, references, overwrite=overwrite
        )

    slow, quick = open_files(1), open_files(2)
    assert slow.targets[0] in slow.list_unfinished(whole=False)
    quick.write(quick.targets[0], Image.new("RGB", (8, 8), "red"))
    with pytest.raises(InputError, match=r"was made with subject\.seed = 2, not 1"):
        slow.write(slow.targets[0], Image.new("RGB", (8, 8), "blue"))
    assert quick.list_unfinished(whole=False) == set(quick.references)
    again = open_files(1, overwrite=True)
    assert again.write(again.targets[0], Image.new("RGB", (8, 8), "blue")) == PictureWritten(again.targets[0])


def test_pictures_that_attend_to_each_other_are_others_in_another_set(tmp_path: Path) -> None:
    texts = ["a boat", "a house", "a tree"]

    def make(out: str, *prompts: str, preset: str = "full_attention") -> list[Event]:
        return run(*SMALL, "--preset", preset, "--output", tmp_path / out, "--prompt", *prompts)

    make("three", *texts)
    make("two", *texts[:2])
    for name in ("01_a_boat.png", "02_a_house.png"):
        pixels = [np.asarray(images.open_image(tmp_path / out / name)) for out in ("three", "two")]
        assert not np.array_equal(*pixels)
        alone = tmp_path / f"alone {name}"
        alone.mkdir()
        shutil.copy(tmp_path / "three" / name, alone)
        with pytest.raises(InputError, match=f"{name}' was made with subject.companions = "):
            make(alone.name, *texts[:2])
    assert plan(make("three", *texts)).finished == 3
    make("apart", *texts, preset="sd")
    assert plan(make("apart", *texts[:2], preset="sd")) == Planned(2, 2, 0)


def test_a_sheet_shows_the_pictures_of_its_set_alone(tmp_path: Path) -> None:
    def files(name: str, steps: int) -> SetFiles:
        settings = StyleAlignSettings(sampling=SamplingSettings(steps=steps)).fill(False)
        references = [ReferenceSubject("x", 0)]
        targets = [SetSubject("a cat", 1, tuple(references))]
        return SetFiles(tmp_path / name, "style_align", ModelIdentity("0", "1"), settings, targets, references)

    stale, fresh, alone = files("out", 4), files("out", 5), files("alone", 5)
    stale.write(stale.targets[0], Image.new("RGB", (8, 8), "red"))
    fresh.write_sheet()
    assert not (tmp_path / "out" / "contact_sheet.png").exists()
    for whole in (fresh, alone):
        whole.write(whole.references[0], Image.new("RGB", (8, 8), "blue"))
        whole.write_sheet()
    sheets = [images.open_image(tmp_path / name / "contact_sheet.png") for name in ("out", "alone")]
    assert sheets[0].size == sheets[1].size and sheets[0].tobytes() == sheets[1].tobytes()


def test_a_style_is_a_phrase_here_and_never_a_path(tmp_path: Path, photo: Path) -> None:
    texts = ["--output", tmp_path / "out", "--prompt", "a boat", "a house"]
    for path in (photo, "nowhere.png", tmp_path):
        with pytest.raises(InputError, match="is a path: give a picture as --reference_image, with"):
            run(*SMALL, *texts, "--style", path)
    with pytest.raises(InputError, match="give --style_text alone"):
        run(*SMALL, *texts, "--style", "oil", "--style_text", "oil")
    assert SetInputs(("a boat", "a house"), tmp_path, style="oil").target_prompts == ("a house, oil",)
    assert SetInputs(("a boat", "a house"), tmp_path, style_text="oil.").target_prompts == ("a house, oil.",)
