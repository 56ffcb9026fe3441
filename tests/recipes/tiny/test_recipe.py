"""The whole recipe in small: every stage runs, is not repeated, goes on where it stopped, and gives a model."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jstyle.errors import InputError
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.training import fit
from recipes.tiny.package import HASHES
from recipes.tiny.pictures import scenes
from recipes.tiny.recipe import Recipe
from tests.recipes.tiny.small import settings


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    Recipe(settings(folder)).run()
    return folder


def hashes(folder: Path) -> dict:
    files = [file for file in sorted(folder.rglob("*.safetensors")) if "checkpoint" not in file.parts]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_it_gives_a_model(finished: Path) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(str(finished / "model"))
    assert pipe.size == 32 and pipe.parts.image_encoder is not None
    (picture,) = pipe("a red house", num_inference_steps=2, seed=0).images
    assert picture.size == (32, 32)
    assert (finished / "unet" / "samples-000002.png").exists() and (finished / "vae" / "loss.png").exists()
    sheet = Image.open(finished / "unet" / "samples-000002.png")
    assert min(sheet.size) > 32
    assert Image.open(finished / "samples.png").size == sheet.size


def test_the_model_comes_with_its_hashes(finished: Path) -> None:
    checked = subprocess.run(["sha256sum", "--check", HASHES], cwd=finished / "model", capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    files = [path for path in (finished / "model").rglob("*") if path.is_file()]
    assert len(checked.stdout.splitlines()) == len(files) - 1


def test_finished_stages_are_not_repeated(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "train", None)
    before = hashes(finished)
    Recipe(settings(finished)).run()
    assert hashes(finished) == before


def test_a_run_that_was_interrupted_gives_the_same_model(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in each training stage after two of its three steps."""
    real = fit.train
    stopped = []

    def interrupted(*arguments):
        output = arguments[4]
        for step in real(*arguments):
            yield step
            if step.step == 2 and output not in stopped:
                stopped.append(output)
                raise KeyboardInterrupt

    monkeypatch.setattr(fit, "train", interrupted)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            Recipe(settings(tmp_path)).run()
    Recipe(settings(tmp_path)).run()
    assert len(stopped) == 3
    assert hashes(tmp_path) == hashes(finished)


def test_a_stage_needs_those_before_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the stage pictures is not finished"):
        Recipe(replace(settings(tmp_path), stages=("vae",))).run()


def test_a_folder_keeps_the_scenes_of_its_pictures(finished: Path) -> None:
    """Captions of other scenes would be learnt with the pictures that are there."""
    other = replace(settings(finished).pictures, seed=5)
    with pytest.raises(InputError, match="was made with seed = 0, not 5"):
        scenes(other, finished)


def test_the_latents_have_one_scale(finished: Path) -> None:
    recipe = Recipe(settings(finished))
    latents = np.float64(np.load(recipe.result("latents")))
    assert latents.shape == (24, 4, 16, 16)
    assert np.allclose(latents.mean(axis=(0, 2, 3)), 0, atol=2e-3)
    assert np.allclose(latents.std(axis=(0, 2, 3)), 1, atol=2e-3)
