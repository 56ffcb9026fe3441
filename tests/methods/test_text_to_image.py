"""txt2img.py as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from jstyle.pictures import images
from tests.parity.networks import GOLDEN

ROOT = Path(__file__).resolve().parents[2]
BASE = ["--model", GOLDEN / "diffusers_folder", "--steps", 3, "--width", 32, "--height", 32]


def script(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "scripts" / "txt2img.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_images_are_made_once_and_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    prompts = ["--prompt", "a river", "a bridge", "--images", 2, "--seed", 5]
    done = script(*BASE, *prompts, "--output", tmp_path / "one", "--batch_size", 3)
    assert (done.returncode, done.stdout.count("\n")) == (0, 2), done.stderr
    names = [f"{seed:05d}.png" for seed in (5, 6, 7, 8)]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == names
    metadata = images.read_metadata(tmp_path / "one" / names[2])
    assert metadata is not None
    assert (metadata["prompt"], metadata["seed"], metadata["steps"]) == ("a bridge", 7, 3)
    (tmp_path / "one" / names[1]).unlink()
    before = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    again = script(*BASE, *prompts, "--output", tmp_path / "one")
    assert "4 images, 3 of them finished before" in again.stdout
    after = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert {name: after[name] for name in before} == before
    refused = script(*BASE, *prompts, "--output", tmp_path / "one", "--guidance", 3)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "made with guidance = 7.5, not 3" in refused.stderr


def test_image_to_image_and_inpainting(tmp_path: Path) -> None:
    picture, mask = tmp_path / "in.png", tmp_path / "mask.png"
    Image.new("RGB", (64, 48), (200, 40, 90)).save(picture)
    Image.linear_gradient("L").resize((64, 48)).save(mask)
    common = [*BASE, "--prompt", "a river", "--image", picture]
    changed = script(*common, "--strength", 0.7, "--output", tmp_path / "i2i")
    painted = script(*common, "--mask", mask, "--output", tmp_path / "inpaint")
    assert (changed.returncode, painted.returncode) == (0, 0), changed.stderr + painted.stderr
    made = [images.open_image(tmp_path / name / "00000.png") for name in ("i2i", "inpaint")]
    assert [image.size for image in made] == [(32, 32), (32, 32)]
    assert made[0].tobytes() != made[1].tobytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "prompt"),
        (["--prompt", "a", "--mask", "m.png"], "give --image too"),
        (["--prompt", "a", "--strength", "0.5"], "give --image too"),
        (["--prompt", "a", "--seed", "-1"], "seed must not be negative"),
        (["--prompt", "a", "--images", "0"], "images must be at least 1"),
        (["--prompt", "a", "--sampler", "heun"], "sampler"),
        (["--prompt", "a", "--model", "./nowhere"], "no model './nowhere'"),
        (["--prompt", "a", "--image", "nowhere.png"], "nowhere.png"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list, said: str, tmp_path: Path) -> None:
    done = script(*arguments, "--output", tmp_path / "out")
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert said in done.stderr
    assert not (tmp_path / "out").exists()
