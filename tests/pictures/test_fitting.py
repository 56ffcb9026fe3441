"""Pictures of any shape come to the size that is wanted: whole where that is asked for, and what is lost is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jstyle.competition.references import describe_losses
from jstyle.pictures import images
from jstyle.pictures.fitting import LONGEST_SHAPE, Frame


def draw(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize(("side", "multiple"), [(512, 8), (128, 8), (768, 64), (32, 4)])
def test_the_aspect_is_kept_at_about_the_area(side: int, multiple: int) -> None:
    frame = Frame(side, side, "keep", multiple)
    rng = np.random.default_rng(0)
    for width, height in rng.integers(200, 3000, (40, 2)).tolist():
        kept_width, kept_height = frame.choose_size((width, height))
        assert kept_width % multiple == kept_height % multiple == 0
        assert abs(kept_width * kept_height / side**2 - 1) < 4 * multiple / side
        assert frame.measure_loss((width, height)) < 2 * multiple / min(kept_width, kept_height)
        assert frame.choose_size((kept_width, kept_height)) == (kept_width, kept_height), "once is enough"
        assert frame.choose_size((height, width)) == (kept_height, kept_width)


def test_squares_are_what_they_were() -> None:
    for how in ("keep", "crop", "pad", "stretch"):
        for size in ((64, 64), (48, 32)):
            frame = Frame(*size, how)
            picture = draw(size[0] * 3, size[1] * 3)
            assert frame.fit(picture).tobytes() == picture.resize(size, Image.Resampling.LANCZOS).tobytes()
            assert frame.fit(frame.fit(picture)).tobytes() == frame.fit(picture).tobytes()


@pytest.mark.parametrize("size", [(1, 1), (1, 2000), (2000, 1), (3, 7)])
def test_the_smallest_and_the_longest_are_fitted(size: tuple[int, int]) -> None:
    for how in ("keep", "crop", "pad", "stretch"):
        frame = Frame(64, 64, how)
        fitted = frame.fit(draw(*size))
        assert fitted.size == frame.choose_size(size)
        assert 1 / LONGEST_SHAPE <= fitted.width / fitted.height <= LONGEST_SHAPE


def test_a_border_mirrors_the_picture_and_leaves_it_whole() -> None:
    picture = draw(40, 20)
    fitted = np.asarray(Frame(40, 60, "pad").fit(picture))
    assert np.array_equal(fitted[20:40], np.asarray(picture))
    assert np.array_equal(fitted[:20], np.asarray(picture)[::-1]) and np.array_equal(fitted[40:], fitted[:20])


def test_stretching_loses_nothing() -> None:
    picture = draw(40, 20)
    expected = picture.resize((32, 32), Image.Resampling.LANCZOS)
    assert Frame(32, 32, "stretch").fit(picture).tobytes() == expected.tobytes()


def test_what_is_lost_is_told_in_one_line() -> None:
    sizes = {"square.png": (500, 500), "banner.png": (1500, 300), "photo.jpg": (4000, 3000)}
    (line,) = Frame(128, 128, "crop").describe_losses(sizes)
    assert line == "fit crop: 2 of 3 pictures lose their sides ('banner.png', 1500x300 to 128x128, loses 80%)"
    (line,) = Frame(128, 128, "pad").describe_losses(sizes)
    assert line == "fit pad: 2 of 3 pictures get a mirrored border ('banner.png', 1500x300 to 128x128)"
    (line,) = Frame(128, 128, "stretch").describe_losses(sizes)
    assert line == "fit stretch: 2 of 3 pictures are put out of shape ('banner.png', 1500x300 to 128x128)"
    assert Frame(128, 128, "keep").describe_losses(sizes) == []
    (line,) = Frame(128, 128, "keep").describe_losses({"line.png": (3200, 100)})
    assert "'line.png', 3200x100 to 512x32, loses 50%" in line


def test_a_picture_with_its_turn_in_a_tag_is_fitted_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = draw(40, 20)
    stored.info["exif"] = exif.tobytes()
    fitted = Frame(32, 32, "keep", 4).fit(stored)
    assert fitted.height > fitted.width
    upright = images.require_rgb(stored)
    assert upright.size == (20, 40) and images.fit(upright, *fitted.size).tobytes() == fitted.tobytes()


def test_files_are_measured_as_they_are_shown(tmp_path: Path) -> None:
    """By their heads alone: a picture that lies on its side stands, and its loss is that of what is shown."""
    exif = Image.Exif()
    exif[0x0112] = 8
    draw(60, 20).save(tmp_path / "a.jpg", exif=exif)
    assert images.measure_image(tmp_path / "a.jpg") == images.open_image(tmp_path / "a.jpg").size == (20, 60)
    (line,) = describe_losses([tmp_path / "a.jpg"], (32, 32))
    assert "20x60 to 32x32, loses 67%" in line
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[:-40])
    assert images.measure_image(tmp_path / "a.jpg") == (20, 60)
