"""ArtFusion on pictures, and its command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import jstyle
from jstyle.cli.main import main
from jstyle.diffusion.schedule import Level
from jstyle.errors import InputError
from jstyle.events import Evaluated
from jstyle.methods.artfusion.settings import ArtFusionSettings, check_finish
from jstyle.pictures import images, png_texts
from jstyle.pipelines.artfusion import ArtFusionPipeline, CountingArtFusion
from jstyle.pipelines.cost import count_evaluations
from jstyle.runtime import jt
from jstyle.settings.model import ArtFusionModelSettings
from tests.methods.artfusion.small import SIZES, write_model


def draw(seed: int, size: tuple[int, int] = (48, 32)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1] // 8, size[0] // 8, 3), np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


CONTENTS, STYLES = [draw(1), draw(2), draw(3, (32, 48))], [draw(4), draw(5)]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "small.safetensors")


@pytest.fixture(scope="module")
def pipe(file: Path) -> ArtFusionPipeline:
    return ArtFusionPipeline.from_pretrained(file)


def settings(**changes: Any) -> ArtFusionSettings:
    return ArtFusionSettings(**{"steps": 3, "width": 32, "height": 32, "style_side": 32, **changes})


def stylise(pipe: Any, pairs: Any = None, **changes: Any) -> dict[tuple[int, int], np.ndarray]:
    """The pictures as arrays, by pair."""
    events = jstyle.ArtFusion(pipe, settings(**changes)).stylise_pairs(CONTENTS, STYLES, pairs)
    results = [event for event in events if not isinstance(event, Evaluated)]
    return {(found.content, found.style): images.to_array([found.image]) for found in results if found.image}


def test_a_picture_does_not_depend_on_its_batch(pipe: ArtFusionPipeline) -> None:
    alone, together = stylise(pipe), stylise(pipe, batch_size=3)
    assert sorted(alone) == sorted(together) and len(alone) == 6
    for pair, picture in alone.items():
        assert (picture.shape[3] > picture.shape[2]) == (pair[0] < 2)
        assert np.abs(together[pair] - picture).max() <= 2 / 127.5
    one = jstyle.ArtFusion(pipe, settings())(CONTENTS[1], STYLES[1])
    assert np.array_equal(images.to_array([one]), alone[1, 1])


def test_every_option_changes_the_result(pipe: ArtFusionPipeline) -> None:
    plain = stylise(pipe, [(0, 0)])[0, 0]
    for change in (
        {"content_scale": 0.5}, {"style_scale": 2.0}, {"steps": 4}, {"eta": 0.0}, {"start": "uniform"},
        {"style_side": 64}, {"width": 64}, {"fit": "stretch"}, {"seed": 1},
    ):  # fmt: skip
        found = stylise(pipe, [(0, 0)], **change)[0, 0]
        assert found.shape != plain.shape or np.abs(found - plain).max() > 0.01, change


@pytest.mark.parametrize(("scales", "parts"), [((1.0, 1.0), 1), ((0.5, 1.0), 2), ((1.0, 2.0), 2), ((0.5, 2.0), 3)])
def test_what_it_costs_is_what_it_takes(file: Path, scales: tuple[float, float], parts: int) -> None:
    counting = CountingArtFusion.from_settings(ArtFusionModelSettings(file))
    chosen = settings(content_scale=scales[0], style_scale=scales[1])
    assert count_evaluations(lambda p: jstyle.ArtFusion(p, chosen).stylise_pairs(CONTENTS, STYLES), counting) == (
        len(CONTENTS) * len(STYLES) * chosen.steps * parts
    )


def test_the_scales_move_away_from_what_is_left_out(pipe: ArtFusionPipeline) -> None:
    """In eps each scale is a line through 1, and the distances add up."""
    x, level = jt.array(np.random.default_rng(0).standard_normal((1, 4, 8, 8)).astype(np.float32)), Level(500.0, 0.3)
    content, style = x * 0.5, jt.ones((1, SIZES.unet.style_width))

    def predict(*scales: float) -> np.ndarray:
        return pipe.denoiser(content, style, *scales)(x, level, 0).eps.numpy()

    plain, content_moved, style_moved = predict(1, 1), predict(0.5, 1), predict(1, 3)
    np.testing.assert_allclose(predict(1.5, 1) - plain, plain - content_moved, atol=1e-5)
    np.testing.assert_allclose(predict(0.5, 3) - plain, content_moved + style_moved - 2 * plain, atol=1e-5)
    without = pipe.unet(x, 500.0, content, pipe.null_style).numpy()
    np.testing.assert_allclose(style_moved, plain + 2 * (plain - without), atol=1e-5)
    without = pipe.unet(x, 500.0, jt.zeros_like(content), style).numpy()
    np.testing.assert_allclose(content_moved, (plain + without) / 2, atol=1e-5)


def test_a_size_that_cannot_be_halved_is_refused(pipe: ArtFusionPipeline) -> None:
    with pytest.raises(InputError, match="multiple of 4 for ArtFusion, not 34x32"):
        jstyle.ArtFusion(pipe, settings(width=34))


def run(file: Path, folder: Path, *words: str) -> int:
    given = ["--model", str(file), "--content", str(folder / "c.png"), "--style", str(folder / "s.png")]
    return main(["artfusion", *given, "--steps", "2", "--width", "32", "--height", "32", *words])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    CONTENTS[0].save(tmp_path / "c.png")
    STYLES[0].save(tmp_path / "s.png")
    return tmp_path


def test_the_command_makes_what_is_not_there(file: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(file, folder, "--output", str(folder / "out")) == 0
    picture = folder / "out" / "c_stylized_s.png"
    made = picture.stat().st_mtime_ns
    spec = json.loads(png_texts.read_texts(picture)[0])["spec"]
    assert spec["method"] == "artfusion" and spec["model"]["name"] == str(file)
    assert (folder / "out" / "contact_sheet.png").exists()
    capsys.readouterr()
    assert run(file, folder, "--output", str(folder / "out")) == 0
    assert picture.stat().st_mtime_ns == made
    assert main(["artfusion", "--from", str(picture), "--output", str(folder / "again")]) == 0
    assert (folder / "again" / "c_stylized_s.png").read_bytes()[-5000:] == picture.read_bytes()[-5000:]


def test_a_model_that_was_replaced_is_not_taken_unasked(file: Path, folder: Path) -> None:
    own = folder / "own.safetensors"
    own.write_bytes(file.read_bytes())
    assert run(own, folder, "--output", str(folder / "out")) == 0
    write_model(own, averaged=True)
    again = ["artfusion", "--from", str(folder / "out" / "c_stylized_s.png"), "--output", str(folder / "again")]
    with pytest.raises(InputError, match="whose weights were others"):
        main(again)
    own.unlink()
    with pytest.raises(InputError, match=r"own\.safetensors"):
        main(again)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--model", "tiny"], "cannot read 'tiny'"),
        (["--width", "34"], "a size must be a"),
        (["--style_side", "8"], "style_side must be from 32 to 4096, not 8"),
        (["--eta", "2"], "eta must be from 0 to 1, not 2"),
        (["--precision", "bf16"], "--precision"),
        (["--steps", "0"], "steps must be from 1 to 1000, not 0"),
        (["--content_scale", "nan"], "--content_scale: must be a finite number"),
    ],
)
def test_what_is_wrong_is_a_line(file: Path, folder: Path, words: list[str], line: str) -> None:
    with pytest.raises(InputError, match=line):
        run(file, folder, "--output", str(folder / "out"), *words)
    assert not (folder / "out").exists()


def test_a_model_must_be_named(folder: Path) -> None:
    words = ["--content", str(folder / "c.png"), "--style", str(folder / "s.png"), "--output", str(folder / "out")]
    with pytest.raises(InputError, match="--model is missing"):
        main(["artfusion", *words])


def test_a_recipe_cannot_finish_by_it() -> None:
    with pytest.raises(ValueError, match="has a model of its own"):
        check_finish(settings())
