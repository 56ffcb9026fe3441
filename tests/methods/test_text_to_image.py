"""Text to image as a command runs it: what it writes, what it skips, what it refuses."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Evaluated, Event, PictureWritten, Planned, Remark
from jstyle.methods.text_to_image import METHOD
from jstyle.methods.text_to_image.settings import TextSubject, TextToImageInputs, TextToImageSettings
from jstyle.networks import UNet2DConditionModel
from jstyle.pictures import images, png_texts
from jstyle.pictures.numbered import write_numbered
from jstyle.pictures.spec import ModelIdentity, PictureSpec
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.model import ModelSettings
from jstyle.settings.words import parse_words
from tests.parity.networks import GOLDEN
from tests.telling import contents, plan

COUNTED = ["--model", GOLDEN / "diffusers_folder", "--steps", 3, "--width", 32, "--height", 32]
BASE = [*COUNTED, "--name", "{seed:05d}"]


def run(*words: object) -> list[Event]:
    """The events of ``jstyle txt2img WORDS``."""
    kinds = (TextToImageInputs, TextToImageSettings, ModelSettings)
    return list(METHOD.start(*parse_words(kinds, [str(word) for word in words], "txt2img", "")))


def test_images_are_made_once(tmp_path: Path) -> None:
    out = tmp_path / "one"
    words = [*BASE, "--prompt", "a river", "a bridge", "--images", 2, "--seed", 5, "--output", out]
    events = run(*words, "--batch_size", 3)
    names = [f"{seed:05d}.png" for seed in (5, 6, 7, 8)]
    assert [event.path.name for event in events if isinstance(event, PictureWritten)] == names
    assert sorted(contents(out)) == names
    metadata: Any = png_texts.read_metadata(out / names[2])
    assert (metadata["spec"]["subject"]["prompt"], metadata["spec"]["subject"]["seed"]) == ("a bridge", 7)
    assert (metadata["spec"]["method"], metadata["spec"]["settings"]["steps"]) == ("txt2img", 3)
    before = contents(out)
    (out / names[1]).unlink()
    again = run(*words)
    assert plan(again) == Planned(4, 3, 3 * 2)
    assert contents(out).keys() == before.keys()
    assert {name: data for name, data in contents(out).items() if name != names[1]} == {
        name: data for name, data in before.items() if name != names[1]
    }
    for more, said in (
        (["--guidance", 3], "settings.guidance = 7.5, not 3.0; --overwrite"),
        (["--negative_prompt", "fog"], "settings.negative_prompt = '', not 'fog'"),
    ):
        with pytest.raises(InputError, match=said):
            run(*words, *more)
    run(*words, "--guidance", 3, "--overwrite")
    assert contents(out)[names[0]] != before[names[0]]


def test_an_image_does_not_depend_on_the_run_that_makes_it(tmp_path: Path) -> None:
    run(*BASE, "--prompt", "a river", "a bridge", "--output", tmp_path / "both")
    run(*BASE, "--prompt", "a bridge", "--seed", 1, "--output", tmp_path / "second")
    alone, beside = (images.open_image(tmp_path / name / "00001.png") for name in ("second", "both"))
    assert alone.tobytes() == beside.tobytes()
    again = run(*BASE, "--prompt", "a bridge", "--seed", 1, "--batch_size", 2, "--output", tmp_path / "both")
    assert plan(again).finished == 1


def test_a_finished_run_and_a_refused_one_load_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*BASE, "--prompt", "a river", "--output", tmp_path]
    run(*words)

    def refuse(model: ModelSettings) -> None:
        raise AssertionError("the model is loaded")

    monkeypatch.setattr(StableDiffusionPipeline, "from_settings", refuse)
    assert plan(run(*words)) == Planned(1, 1, 0)
    with pytest.raises(InputError, match="--overwrite"):
        run(*words, "--steps", 4)
    with pytest.raises(InputError, match=r"subject\.prompt = 'a river', not 'a bridge'; --overwrite"):
        run(*BASE, "--prompt", "a bridge", "--output", tmp_path)
    with pytest.raises(InputError, match="multiple of 4"):
        run(*words, "--width", 33, "--output", tmp_path / "other")
    with pytest.raises(AssertionError, match="loaded"):
        run(*words, "--overwrite")


def test_a_file_in_the_place_of_the_folder_is_found_first(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("somebody's")
    with pytest.raises(InputError, match="is a file, not a folder"):
        run("--prompt", "a river", "--model", "no-such-model", "--output", tmp_path / "out" / "deeper")


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    paths = {"picture": tmp_path / "in.png", "mask": tmp_path / "mask.png"}
    Image.new("RGB", (64, 48), (200, 40, 90)).save(paths["picture"])
    Image.linear_gradient("L").resize((64, 48)).save(paths["mask"])
    return paths


def test_image_to_image_and_inpainting(tmp_path: Path, pictures: dict[str, Path]) -> None:
    common = [*BASE, "--prompt", "a river", "--image", pictures["picture"]]
    run(*common, "--strength", 0.7, "--output", tmp_path / "i2i")
    run(*common, "--mask", pictures["mask"], "--output", tmp_path / "inpaint")
    made = [images.open_image(tmp_path / name / "00000.png") for name in ("i2i", "inpaint")]
    assert [image.size for image in made] == [(36, 28), (36, 28)], "64x48 keeps its aspect, in multiples of 4"
    assert made[0] != made[1]
    events = run(*common, "--mask", pictures["mask"], "--output", tmp_path / "inpaint")
    sized = "the picture of 64x48 is worked on at 36x28, and so is the result; --padding_mask_crop N keeps"
    assert any(event.text.startswith(sized) for event in events if isinstance(event, Remark))
    given = images.fit(images.open_image(pictures["picture"]), 36, 28)
    free = np.asarray(images.fit(images.open_image(pictures["mask"]), 36, 28).convert("L")) >= 127.5
    assert np.array_equal(np.asarray(made[1])[~free], np.asarray(given)[~free]) and free.mean() < 0.6
    events = run(*common, "--strength", 0.7, "--fit", "crop", "--output", tmp_path / "crop")
    assert images.open_image(tmp_path / "crop" / "00000.png").size == (32, 32)
    assert next(event.text for event in events if isinstance(event, Remark)) == (
        f"fit crop: 1 of 1 pictures lose their sides ('{pictures['picture']}', 64x48 to 32x32, loses 25%)"
    )
    run(*common, "--mask", pictures["mask"], "--padding_mask_crop", 2, "--output", tmp_path / "region")
    assert images.open_image(tmp_path / "region" / "00000.png").size == (64, 48)
    Image.new("RGB", (64, 48), (0, 40, 90)).save(pictures["picture"])
    with pytest.raises(InputError, match=r"another subject\.image;"):
        run(*common, "--strength", 0.7, "--output", tmp_path / "i2i")


@pytest.mark.parametrize(
    "words",
    [
        ["--guidance", 1],
        ["--images", 3, "--batch_size", 2, "--sampler", "pndm"],
        ["--image", "{picture}", "--strength", 0.7],
        ["--image", "{picture}", "--mask", "{mask}"],
    ],
)
def test_the_plan_is_what_goes_through_the_unet(
    words: list, tmp_path: Path, pictures: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    execute = UNet2DConditionModel.execute

    def count(self: Any, sample: Any, *arguments: Any, **options: Any) -> Any:
        rows.append(sample.shape[0])
        return execute(self, sample, *arguments, **options)

    monkeypatch.setattr(UNet2DConditionModel, "execute", count)
    events = run(*BASE, "--prompt", "a", "--output", tmp_path / "o", *(str(word).format(**pictures) for word in words))
    counts = [event.count for event in events if isinstance(event, Evaluated)]
    assert counts == rows
    assert sum(rows) == plan(events).evaluations > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "prompt"),
        (["--prompt", "a", "--mask", "m.png"], "give --image too"),
        (["--prompt", "a", "--strength", "0.5"], "give --image too"),
        (["--prompt", "a", "--padding_mask_crop", "4"], "--padding_mask_crop says how a mask is painted: give --mask"),
        (["--prompt", "a", "--no_overlay"], "--no_overlay says how a mask is painted: give --mask"),
        (["--prompt", "a", "--seed", "-2"], "seed must not be negative, not -2, or -1 to draw one"),
        (["--prompt", "a", "--images", "0"], "images must be from 1 to 100000"),
        (["--prompt", "a", "--sampler", "heuns"], "sampler"),
        (["--prompt", "a", "--width", "0"], "width must be from 1 to 16384, not 0"),
        (["--prompt", "a", "--height", "-8"], "height must be from 1 to 16384, not -8"),
        (["--prompt", "a", "--model", "./nowhere"], "no model './nowhere'"),
        (["--prompt", "a", "--image", "nowhere.png"], "nowhere.png"),
    ],
)
def test_what_is_wrong_is_one_line(words: list, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        run(*words, "--output", tmp_path / "out")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_another_scheduler_makes_other_images(tmp_path: Path) -> None:
    """The same weights, and the sampler is the checkpoint's own: the file says which it was."""
    model = Path(shutil.copytree(GOLDEN / "diffusers_folder", tmp_path / "model"))
    words = [*BASE, "--model", model, "--prompt", "a river", "--output", tmp_path / "out"]
    run(*words)
    file = model / "scheduler" / "scheduler_config.json"
    content = json.loads(file.read_text("utf-8"))
    assert content["_class_name"] != "EulerDiscreteScheduler"
    file.write_text(json.dumps({**content, "_class_name": "EulerDiscreteScheduler"}), "utf-8")
    with pytest.raises(InputError, match=r"00000\.png' was made with another configuration of the model;"):
        run(*words)


@pytest.mark.filterwarnings("ignore:a prompt has more than")
def test_weights_and_long_texts_by_a_switch(tmp_path: Path) -> None:
    words = [*BASE, "--prompt", "a (river:1.5) at night", "--negative_prompt", "the town, " * 40]
    run(*words, "--output", tmp_path / "plain")
    run(*words, "--prompt_weights", "a1111", "--long_prompts", "chunk", "--output", tmp_path / "read")
    plain, read = (images.open_image(tmp_path / name / "00000.png") for name in ("plain", "read"))
    assert plain.tobytes() != read.tobytes()
    metadata: Any = png_texts.read_metadata(tmp_path / "read" / "00000.png")
    assert metadata["spec"]["settings"]["prompt_weights"] == "a1111"
    with pytest.raises(InputError, match="prompts do not change from step to step"):
        run(*BASE, "--prompt", "a [cat:dog:3]", "--prompt_weights", "a1111", "--output", tmp_path / "edited")
    assert not (tmp_path / "edited").exists()


def make(out: Path, *words: object) -> list[str]:
    """Run in a folder; the names of what was written."""
    events = run(*COUNTED, "--output", out, *words)
    return [event.path.name for event in events if isinstance(event, PictureWritten)]


def test_the_next_run_counts_on(tmp_path: Path) -> None:
    assert make(tmp_path, "--prompt", "a river, at Night!", "a bridge") == [
        "00000-0-a_river_at_night.png",
        "00001-1-a_bridge.png",
    ]
    assert make(tmp_path, "--prompt", "a river, at Night!", "a bridge") == [], "they are there"
    assert make(tmp_path, "--prompt", "a river, at Night!", "--guidance", 3) == ["00002-0-a_river_at_night.png"]
    (tmp_path / "00002-0-a_river_at_night.png").rename(tmp_path / "mine.png")
    (tmp_path / "00041-notes.png").write_bytes(b"somebody's")
    assert make(tmp_path, "--prompt", "a river, at Night!", "--guidance", 3) == [], "known under any name"
    assert make(tmp_path, "--prompt", "a tree", "--seed", 7) == ["00002-7-a_tree.png"], "that is no name of ours"
    (tmp_path / "00041-9-x.png").write_bytes(b"somebody's")
    assert make(tmp_path, "--prompt", "a tree") == ["00042-0-a_tree.png"]
    before = contents(tmp_path)
    assert make(tmp_path, "--prompt", "a tree", "--overwrite") == ["00042-0-a_tree.png"]
    assert contents(tmp_path) == before
    file = tmp_path / "00001-1-a_bridge.png"
    file.write_bytes(file.read_bytes()[:-30])
    assert make(tmp_path, "--prompt", "a bridge", "--seed", 1) == [file.name], (
        "a damaged one is made again in its place"
    )


def test_runs_at_once_take_each_their_numbers(tmp_path: Path) -> None:
    def write(seed: int) -> None:
        spec = PictureSpec("toy", ModelIdentity("a", "b"), {}, TextSubject("a", seed))
        picture = Image.new("RGB", (8, 8), (seed, 0, 0))
        write_numbered(picture, tmp_path, "{number}-{prompt}", spec, {"seed": seed, "prompt": "a"})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    assert sorted(contents(tmp_path)) == sorted(f"{number}-a.png" for number in range(40))
    assert len(set(contents(tmp_path).values())) == 40


def test_a_seed_is_drawn_and_recorded(tmp_path: Path) -> None:
    (first,), (second,) = (make(tmp_path, "--prompt", "a", "--seed", -1) for _ in range(2))
    seeds = [int(name.split("-")[1]) for name in (first, second)]
    assert seeds[0] != seeds[1] and [name[:6] for name in (first, second)] == ["00000-", "00001-"]
    metadata: Any = png_texts.read_metadata(tmp_path / first)
    assert metadata["spec"]["subject"]["seed"] == metadata["spec"]["settings"]["seed"] == seeds[0]
    assert make(tmp_path, "--prompt", "a", "--seed", seeds[1]) == [], "what was drawn is made again by its seed"


def test_an_output_that_ends_in_png_is_a_file(tmp_path: Path) -> None:
    words = [*COUNTED, "--prompt", "a river", "--output", tmp_path / "deep" / "house.png"]
    assert plan(run(*words)).finished == 0
    assert list(contents(tmp_path / "deep")) == ["house.png"]
    assert plan(run(*words)).finished == 1
    with pytest.raises(InputError, match=r"settings\.guidance = 7.5, not 3.0; --overwrite"):
        run(*words, "--guidance", 3)
    with pytest.raises(InputError, match=r"house\.png' is the image's file, and name calls it otherwise"):
        run(*words, "--name", "{seed}")
    with pytest.raises(InputError, match=r"house\.png' is one file, and 2 images are asked for: name a folder"):
        run(*words, "--images", 2)
    (tmp_path / "folder.png").mkdir()
    run(*COUNTED, "--prompt", "a river", "--output", tmp_path / "folder.png")
    assert list(contents(tmp_path / "folder.png")) == ["00000-0-a_river.png"]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("", "name must not be empty"),
        (".hidden", "begin with a dot"),
        ("a\nb", "characters that cannot be shown"),
        ("../{seed}", "begin with a dot"),
        ("a/{seed}", "is of a file in the folder, no path"),
        ("{seed", "is no pattern"),
        ("{model}", r"asks for {model}, and there is {number}, {seed} and {prompt}"),
        ("{seed.real}", "asks for {seed.real}"),
        ("{seed:>99999999}", "asks for {seed:>99999999}"),
        ("{prompt:5}", "asks for {prompt:5}"),
        ("{}", "asks for {}"),
    ],
)
def test_what_is_no_name_is_one_line(pattern: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        run(*COUNTED, "--prompt", "a", "--output", tmp_path, "--name", pattern)


def test_a_fit_without_a_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fit says how a picture comes to a size: give --image too"):
        run(*BASE, "--prompt", "a", "--fit", "crop", "--output", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"two images would be 'house\.png': write {number} or {seed} into --name"):
        run(*COUNTED, "--prompt", "a", "b", "--output", tmp_path, "--name", "house")
    assert make(tmp_path, "--prompt", "a", "--name", "house") == ["house.png"]
