"""run_style_align.py as a user runs it: what it writes, what it skips, what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
from PIL import Image

from jstyle.pictures import images
from style_align.files import Job
from style_align.request import Made, Target
from style_align.settings import StyleAlignSettings
from tests.parity.networks import GOLDEN

ROOT = Path(__file__).resolve().parents[2]
MODEL = GOLDEN / "diffusers_folder"
SMALL = ["--model", MODEL, "--steps", 2, "--width", 32, "--height", 32]


def script(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "scripts" / "run_style_align.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def contents(folder: Path) -> dict:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(2).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(pixels).resize((40, 40)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_a_set_from_texts_and_going_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = [*SMALL, "--style", "macro photo", "--output", out, "--prompt", "a toy train", "a toy car", "A toy boat!"]
    done = script(*given)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0)
    names = ["01_a_toy_car_macro_photo.png", "02_a_toy_boat_macro_photo.png", "contact_sheet.png", "reference.png"]
    assert sorted(contents(out)) == names
    told = images.read_metadata(out / names[0])
    assert told is not None
    assert (told["method"], told["prompt"], told["seed"]) == ("Style Aligned", "a toy car, macro photo", 1)
    assert (told["preset"], told["guidance"], told["share_group_norm"]) == ("sd", 7.5, True)
    assert told["references"] == [{"prompt": "a toy train, macro photo", "seed": 0}]
    assert len(str(told["model_hash"])) == 64
    before = contents(out)
    (out / names[1]).unlink()
    again = script(*given, "--batch_size", 1)
    assert (again.returncode, "2 pictures, 1 of them finished before" in again.stdout) == (0, True)
    pixels = [np.asarray(Image.open(out / names[1])), np.asarray(images.open_image(out / names[1]))]
    assert pixels[0].shape == (32, 32, 3)
    assert {name: data for name, data in contents(out).items() if name in names[:1]} == {names[0]: before[names[0]]}
    refused = script(*given, "--style_strength", 0.5)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "made with style_strength = 1.0, not 0.5; --overwrite" in refused.stderr


def test_a_reference_from_a_picture_is_saved_and_used_again(tmp_path: Path, photo: Path) -> None:
    first, second, kept = tmp_path / "first", tmp_path / "second", tmp_path / "kept.safetensors"
    from_picture = ["--reference_image", photo, "--reference_prompt", "a train", "--save_reference", kept]
    done = script(*SMALL, "--prompt", "a car", "--style", "oil", "--output", first, *from_picture)
    assert done.returncode == 0, done.stderr
    assert kept.is_file()
    told = images.read_metadata(first / "01_a_car_oil.png")
    assert told is not None
    assert (told["preset"], told["guidance"], told["offset"]) == ("image", 10.0, 0)
    again = script(*SMALL, "--prompt", "a car", "--style", "oil", "--output", second, "--reference", kept)
    assert again.returncode == 0, again.stderr
    pictures = [np.asarray(images.open_image(folder / "01_a_car_oil.png")) for folder in (first, second)]
    assert np.array_equal(*pictures)
    other = script(*SMALL[:2], "--steps", 3, "--prompt", "a car", "--output", second, "--reference", kept)
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
    assert "steps = 2" in other.stderr
    weights = script("--model", "tiny", "--steps", 2, "--prompt", "a car", "--output", second, "--reference", kept)
    assert (weights.returncode, weights.stderr.count("\n")) == (2, 1)
    assert "other weights" in weights.stderr


def test_a_panorama(tmp_path: Path) -> None:
    given = ["--panorama", "--width", 96, "--height", 64, "--stride", 4, "--circular", "--steps", 2, "--model", MODEL]
    done = script(*given, "--reference_prompt", "a sea", "--prompt", "hills", "a town", "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert images.open_image(tmp_path / "out" / "01_hills.png").size == (96, 64)
    assert images.open_image(tmp_path / "out" / "reference.png").size == (64, 64)


OUT = ["--output", "never-made"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "prompt"),
        (["--prompt", "a cat", *OUT], "two texts at least"),
        (["--prompt", "a cat", "a dog", *OUT, "--preset", "sdxxl"], "preset"),
        (["--prompt", "a cat", "a dog", *OUT, "--stil", "oil"], "did you mean style"),
        (["--prompt", "a cat", *OUT, "--reference_image", "x.png"], "two texts at least"),
        (["--prompt", "a cat", "b", *OUT, "--reference_image", "x.png"], "--reference_prompt for each"),
        (["--prompt", "a cat", "b", *OUT, "--reference_weights", "1", "2"], "2 reference_weights for 1"),
        (["--prompt", "a", "b", "c", "d", *OUT, "--image", "x.png", "y.png"], "2 pictures to start 3 from"),
        (["--prompt", "a", *OUT, "--reference", "x", "y", "--save_reference", "z"], "one after another"),
        (["--prompt", "a", "b", *OUT, "--steps", "0"], "steps"),
        (["--prompt", "a", "b", *OUT, "--circular"], "--panorama"),
    ],
)
def test_a_wrong_command_line_is_one_line(arguments: List[str], said: str, tmp_path: Path) -> None:
    done = script(*arguments)
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert said in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--reference_image", "{broken}", "--reference_prompt", "x"], "broken.png"),
        (["--image", "{broken}", "--reference_prompt", "x"], "broken.png"),
        (["--reference", "{broken}"], "no saved reference"),
        (["--reference", "nowhere"], "nowhere"),
        (["--reference_prompt", "x", "--model", "nowhere-at-all"], "nowhere-at-all"),
        (["--reference_prompt", "x", "--model", str(MODEL), "--width", "33"], "multiple of"),
        (["--reference_prompt", "x", "y", "--model", str(MODEL), "--reference_weights", "1", "-1"], "positive"),
    ],
)
def test_wrong_input_is_one_line(arguments: List[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    given = [one.format(broken=tmp_path / "broken.png") for one in arguments]
    done = script("--prompt", "a cat", "--output", tmp_path / "out", *given)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("style_align*.yaml")))
def test_every_shipped_config_is_valid(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import command_line
    import run_style_align

    given = ["--config", str(config), "--prompt", "a", "b", "--output", "c"]
    also = run_style_align.Run, run_style_align.ModelOptions
    chosen, _, model = command_line.parse(StyleAlignSettings, "", given, extra=also)
    assert chosen.steps == 50
    assert model.model


def job(folder: Path, **metadata: Any) -> Job:
    targets = [Target("a cat", 1), Target("a cat", 2), Target("星", 3)]
    return Job(folder, targets, [{"prompt": "x", "seed": 0}, {"prompt": "y", "seed": 1}], metadata)


def test_names_never_collide_and_a_set_that_depends_on_itself_is_made_whole(tmp_path: Path) -> None:
    one = job(tmp_path / "out")
    assert [one.path(i).name for i in range(3)] == ["01_a_cat.png", "02_a_cat.png", "03_星.png"]
    assert [path.name for path in one.reference_paths()] == ["reference.png", "reference_2.png"]
    assert one.unfinished(overwrite=False, whole=False) == [0, 1, 2]
    assert one.save(1, Made(1, Image.new("RGB", (8, 8)))) == ""
    assert one.unfinished(overwrite=False, whole=False) == [0, 2]
    assert one.unfinished(overwrite=False, whole=True) == [0, 1, 2]
    assert "not finite" in one.save(0, Made(0, None, "the result is not finite"))
    one.save_references([Image.new("RGB", (8, 8), "red")] * 2)
    one.save_contact_sheet()
    assert images.open_image(tmp_path / "out" / "contact_sheet.png").width > 3 * 192
