"""Masks: the region around what is painted anew, as diffusers finds it, and all other pixels untouched."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jstyle.errors import InputError, InputWarning
from jstyle.pictures import images
from jstyle.pictures.masks import TRANSPARENT, describe_file, find_region, read_mask

REGIONS = [
    ((100, 80), (10, 20, 30, 25), (64, 64), 4, (6, 9, 34, 37)),
    ((100, 80), (0, 0, 5, 5), (64, 64), 32, (0, 0, 37, 37)),
    ((100, 80), (90, 70, 100, 80), (64, 32), 3, (74, 67, 100, 80)),
    ((100, 40), (2, 3, 99, 39), (64, 64), 8, (0, 0, 100, 40)),
    ((40, 100), (2, 3, 39, 99), (64, 32), 0, (0, 3, 40, 99)),
    ((200, 200), (50, 60, 53, 160), (48, 64), 7, (9, 53, 94, 167)),
    ((64, 64), (0, 0, 64, 64), (64, 64), 5, (0, 0, 64, 64)),
]
"""(picture, white box, size, border, region) of `VaeImageProcessor.get_crop_region`, diffusers 0.42.1."""

OVERLAID = [
    [[167, 112, 159], [150, 99, 119], [146, 150, 175], [71, 133, 83], [100, 147, 72]],
    [[147, 132, 155], [176, 141, 145], [89, 171, 197], [95, 171, 157], [99, 128, 141]],
    [[152, 103, 170], [176, 110, 72], [156, 146, 100], [68, 137, 131], [107, 79, 142]],
    [[139, 161, 126], [163, 154, 141], [144, 96, 179], [184, 171, 97], [143, 133, 86]],
]
"""What `VaeImageProcessor.apply_overlay` of diffusers 0.42.1 has under the mask of the last test."""


def draw_mask(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


def test_the_region_is_the_one_that_diffusers_finds() -> None:
    for picture, box, (width, height), border, region in REGIONS:
        free = np.asarray(draw_mask(picture, box)) > 127
        assert find_region(free, width / height, border) == region


def test_a_mask_must_fit_its_picture_and_be_white_somewhere() -> None:
    with pytest.raises(InputError, match="the mask is 8x9 and its picture 8x8: give a mask of the picture's size"):
        read_mask(Image.new("RGB", (8, 8)), Image.new("L", (8, 9), 255))
    with pytest.raises(InputError, match="nowhere white, so nothing would be painted"):
        read_mask(Image.new("RGB", (8, 8)), Image.new("L", (8, 8), 127))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_mask_that_is_transparent_is_told(mode: str, tmp_path: Path) -> None:
    """Where it is clear, white is seen, so that all of the picture is painted anew."""
    picture, file = Image.new("RGB", (8, 8)), tmp_path / "mask.png"
    clear, dense = (Image.new(mode, (8, 8), (0,) * (len(mode) - 1) + (alpha,)) for alpha in (0, 255))
    dense.paste("white", (0, 0, 4, 8))
    with pytest.warns(InputWarning, match="^the mask is transparent in places, which count as white"):
        assert read_mask(picture, clear).free.all()
    clear.save(file)
    assert describe_file(file) == [f"{str(file)!r}: {TRANSPARENT}"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_mask(picture, dense).free.sum() == 32
    dense.save(file)
    assert describe_file(file) == []


def test_what_is_laid_over_is_the_picture_to_the_bit() -> None:
    rng = np.random.default_rng(3)
    picture, made = (Image.fromarray(rng.integers(0, 256, size, np.uint8)) for size in ((20, 24, 3), (16, 16, 3)))
    masked = read_mask(picture, draw_mask((24, 20), (9, 8, 14, 12)))
    masked = type(masked)(masked.pixels, masked.free, find_region(masked.free, 1.0, 2))
    result = np.asarray(masked.lay_over(made))
    assert np.array_equal(result[~masked.free], np.asarray(picture)[~masked.free])
    assert np.array_equal(result[8:12, 9:14], OVERLAID)
    part, mask = masked.cut_out(16, 16)
    expected = picture.crop((7, 6, 16, 15)).resize((16, 16), Image.Resampling.LANCZOS)
    assert masked.region == (7, 6, 16, 15) and part.tobytes() == expected.tobytes()
    assert images.to_mask([mask]).any()
