"""Colours are those of sRGB: by profiles of every kind, under transparency, and what a damaged profile is told as."""

from __future__ import annotations

import io
import itertools
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from PIL import Image, ImageCms

from jstyle.errors import InputError
from jstyle.pictures import images
from tests.pictures.profiles import (
    ADOBE_GAMMA,
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    convert_to_srgb,
    write_cmyk_profile,
    write_grey_profile,
    write_rgb_profile,
)
from tests.pictures.test_odd_images import chunk, encoded, png, rotated_by_exif

COLOURS = np.array(list(itertools.product(range(0, 256, 51), repeat=3)), np.uint8).reshape(12, 18, 3)
PICTURE = Image.fromarray(COLOURS)
IGNORED = "its colour profile cannot be used and is ignored"


def open_bytes(data: bytes, path: Path) -> tuple[np.ndarray, list[str]]:
    """The pixels of a file, and what is told of it."""
    path.write_bytes(data)
    told: list[str] = []
    return np.asarray(images.open_image(path, told.append), np.float64), told


@pytest.mark.parametrize(("primaries", "gamma"), [(DISPLAY_P3, 0.0), (ADOBE_RGB, ADOBE_GAMMA)])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP", "AVIF"])
def test_a_profile_is_converted_by_its_formula(kind: str, primaries: np.ndarray, gamma: float, tmp_path: Path) -> None:
    options: dict[str, Any] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    data = encoded(PICTURE, kind, icc_profile=write_rgb_profile(primaries, gamma), **options)
    stored = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    found, told = open_bytes(data, tmp_path / "a")
    expected = convert_to_srgb(stored, primaries, gamma)
    assert np.abs(found - expected).max() <= 1.6 and told == []
    assert np.abs(stored - expected).max() > 25, "so much is lost without it"


def test_srgb_keeps_every_value_under_any_name(tmp_path: Path) -> None:
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (own, write_rgb_profile(SRGB)):
        found, told = open_bytes(encoded(PICTURE, icc_profile=profile), tmp_path / "a.png")
        assert np.array_equal(found, COLOURS) and told == []


def test_profiles_of_grey_and_of_inks(tmp_path: Path) -> None:
    grey = Image.fromarray(np.arange(0, 256, 5, dtype=np.uint8)[None])
    expected = convert_to_srgb(np.asarray(grey)[..., None].repeat(3, -1), SRGB, 1.0)
    for picture in (grey, Image.merge("LA", (grey, grey.point(lambda _: 255)))):
        found, told = open_bytes(encoded(picture, icc_profile=write_grey_profile(1.0)), tmp_path / "a.png")
        assert np.abs(found - expected).max() <= 1.6 and told == []
    inks = {corner: (round(255 * (1 - max(corner))), 128, 128) for corner in np.ndindex(2, 2, 2, 2)}
    inks[1, 0, 0, 0] = (round(255 * 0.5), 128, 128)  # cyan is a mid grey here: no formula but the profile's gives that
    profile = write_cmyk_profile(inks)
    picture = Image.fromarray(np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255]]], np.uint8), "CMYK")
    mid = 255 * (1.055 * (((50 + 16) / 116) ** 3) ** (1 / 2.4) - 0.055)  # L* 50
    for kind in ("TIFF", "JPEG"):
        wide = picture.resize((24, 8), Image.Resampling.NEAREST)
        found, told = open_bytes(encoded(wide, kind, icc_profile=profile), tmp_path / "a")
        assert np.abs(found[4, 4::8, 0] - [255, mid, 0]).max() <= 4 and told == []
        assert np.ptp(found, axis=-1).max() <= 2


def test_a_profile_of_rgb_beside_a_palette_grey_and_transparency(tmp_path: Path) -> None:
    profile = write_rgb_profile(DISPLAY_P3)
    red = convert_to_srgb(np.array([234, 51, 35]), DISPLAY_P3)
    palette = Image.new("RGB", (2, 2), (234, 51, 35)).quantize(2)
    found, _ = open_bytes(encoded(palette, icc_profile=profile), tmp_path / "a.png")
    assert np.abs(found - red).max() <= 1.6
    clear = Image.new("RGBA", (2, 1), (234, 51, 35, 255))
    clear.putpixel((1, 0), (234, 51, 35, 0))
    found, _ = open_bytes(encoded(clear, icc_profile=profile), tmp_path / "a.png")
    assert np.abs(found[0, 0] - red).max() <= 1.6 and (found[0, 1] == 255).all()
    grey = Image.new("L", (2, 2), 90)
    found, told = open_bytes(encoded(grey, "JPEG", icc_profile=profile), tmp_path / "a.jpg")
    assert np.abs(found - 90).max() <= 2 and told == [], "greys are greys in every space of D65"


def broken_in_png() -> bytes:
    whole = encoded(PICTURE)
    return whole[:33] + chunk(b"iCCP", b"icc\0\0" + b"no zlib") + whole[33:]


@pytest.mark.parametrize(
    "data",
    [
        encoded(PICTURE, icc_profile=b"no profile"),
        encoded(PICTURE, icc_profile=write_rgb_profile(DISPLAY_P3)[:200]),
        encoded(PICTURE, icc_profile=write_grey_profile(1.8)),
        encoded(PICTURE, "TIFF", icc_profile=write_rgb_profile(DISPLAY_P3).replace(b"RGB ", b"XYZ ")),
        broken_in_png(),
    ],
    ids=["nothing", "cut", "of grey", "of XYZ", "not unpacked"],
)
def test_a_profile_that_cannot_be_used_is_told_and_ignored(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a b.png"
    found, told = open_bytes(data, path)
    assert np.array_equal(found, COLOURS)
    assert told == [f"{str(path)!r}: {IGNORED}"]


def shaded_png(depth: int, colour: int, row: bytes, clear: bytes) -> bytes:
    whole = png(2, 1, depth, colour, b"\0" + row)
    return whole[:33] + chunk(b"tRNS", clear) + whole[33:]


WHITE, RED = [255, 255, 255], [255, 0, 0]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (shaded_png(1, 0, b"\x80", struct.pack(">H", 0)), [WHITE, WHITE]),
        (shaded_png(2, 0, b"\x10", struct.pack(">H", 1)), [[0, 0, 0], WHITE]),
        (shaded_png(4, 0, b"\x05", struct.pack(">H", 5)), [[0, 0, 0], WHITE]),
        (shaded_png(8, 0, b"\x00\x07", struct.pack(">H", 7)), [[0, 0, 0], WHITE]),
        (shaded_png(16, 0, struct.pack(">2H", 0, 0x1234), struct.pack(">H", 0x1234)), [[0, 0, 0], WHITE]),
        (shaded_png(8, 2, bytes([*RED, 1, 2, 3]), struct.pack(">3H", 1, 2, 3)), [RED, WHITE]),
        (shaded_png(16, 2, struct.pack(">6H", 65535, 0, 0, 1, 2, 768), struct.pack(">3H", 1, 2, 768)), [RED, WHITE]),
    ],
    ids=["grey 1", "grey 2", "grey 4", "grey 8", "grey 16", "colour 8", "colour 16"],
)  # fmt: skip
def test_the_transparent_value_of_every_kind_of_png_is_white(data: bytes, expected: list, tmp_path: Path) -> None:
    """PNG 1.2, section 4.2.1.1: the value is in the scale of the samples as they are stored."""
    found, _ = open_bytes(data, tmp_path / "a.png")
    assert found[0].tolist() == expected


def picture_of(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_from_python_a_picture_is_what_its_file_is(tmp_path: Path) -> None:
    """A caller's `Image.open` and our own reader give the same numbers, after fitting too."""
    clear = Image.new("RGBA", (2, 2), (10, 20, 30, 128))
    palette = Image.new("RGB", (4, 4), (1, 2, 3)).quantize(2)
    kinds = [
        encoded(clear),
        encoded(palette, transparency=0),
        encoded(Image.fromarray(np.full((2, 2), 30000, np.uint16))),
        encoded(PICTURE, icc_profile=write_rgb_profile(DISPLAY_P3)),
        encoded(PICTURE, "JPEG", icc_profile=write_rgb_profile(ADOBE_RGB, ADOBE_GAMMA)),
        rotated_by_exif(),
    ]
    for data in kinds:
        (tmp_path / "a").write_bytes(data)
        of_file = images.open_image(tmp_path / "a")
        assert np.array_equal(images.to_array([picture_of(data)]), images.to_array([of_file]))
        assert images.fit(picture_of(data), 8, 16).tobytes() == images.fit(of_file, 8, 16).tobytes()


def test_colours_are_converted_once(tmp_path: Path) -> None:
    data = encoded(PICTURE, icc_profile=write_rgb_profile(DISPLAY_P3))
    once = images.fit(picture_of(data), *PICTURE.size)
    assert once.info == {}
    assert np.array_equal(images.to_array([once]), images.to_array([picture_of(data)]))


def test_pixels_without_a_scale_are_refused_from_python_too() -> None:
    with pytest.raises(InputError, match="no known scale"):
        images.to_array([Image.new("F", (2, 2), 0.5)])


def test_several_frames_are_told_and_two_views_are_not(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 8), colour) for colour in ("red", "blue")]
    for kind, word in (("GIF", "frames"), ("WEBP", "frames"), ("PNG", "frames"), ("AVIF", "frames"), ("TIFF", "pages")):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        found, told = open_bytes(data, tmp_path / "a")
        assert np.abs(found - [255, 0, 0]).max() <= 9
        assert told == [f"{str(tmp_path / 'a')!r}: it has several {word}; the first is taken"]
    found, told = open_bytes(encoded(frames[0], "MPO", save_all=True, append_images=frames[1:]), tmp_path / "a")
    assert told == []


def test_a_bomb_in_the_profile_takes_no_memory(tmp_path: Path) -> None:
    whole = encoded(PICTURE)
    bomb = whole[:33] + chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(50_000_000))) + whole[33:]
    (tmp_path / "a.png").write_bytes(bomb)
    with warnings.catch_warnings(), pytest.raises(InputError, match="cannot read"):
        images.open_image(tmp_path / "a.png")


def test_nothing_is_told_of_an_ordinary_picture(tmp_path: Path) -> None:
    told: Optional[list[str]] = open_bytes(encoded(PICTURE, "JPEG"), tmp_path / "a.jpg")[1]
    assert told == []


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_tiff_in_which_nought_is_white(kind: type, tmp_path: Path) -> None:
    """TIFF 6.0, PhotometricInterpretation 0."""
    top = np.iinfo(kind).max
    data = encoded(Image.fromarray(np.array([[0, top, top // 3]], kind)), "TIFF")
    black_is_nought, white_is_nought = (struct.pack("<HHII", 262, 3, 1, meaning) for meaning in (1, 0))
    assert data.count(black_is_nought) == 1
    found, told = open_bytes(data.replace(black_is_nought, white_is_nought), tmp_path / "a.tiff")
    assert found[0, :, 0].tolist() == [255, 0, 170] and told == []
