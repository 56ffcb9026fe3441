"""Masks: what of a picture is painted anew, the region around that, and all else laid over the result."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from jstyle.errors import InputError, InputWarning
from jstyle.pictures import colours, images

TRANSPARENT = "the mask is transparent in places, which count as white, to be painted anew"

Region = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels, the last two outside."""


@dataclass(frozen=True)
class Masked:
    """A picture and what of it is painted anew.

    ``pixels`` is (height, width, 3) of 8 bits, ``free`` (height, width), true where it is; only ``region`` goes through
    the model.
    """

    pixels: np.ndarray
    free: np.ndarray
    region: Region

    def lay_over(self, made: Image.Image) -> Image.Image:
        """The picture, its free part from what was made of the region; every other pixel is the very same."""
        left, top, right, bottom = self.region
        result = self.pixels.copy()
        painted = np.asarray(images.fit(made, right - left, bottom - top))
        free = self.free[top:bottom, left:right]
        result[top:bottom, left:right][free] = painted[free]
        return Image.fromarray(result)

    def cut_out(self, width: int, height: int) -> tuple[Image.Image, Image.Image]:
        """The region and its mask at (width, height) pixels, with a mirrored border where its shape is another."""
        mask = Image.fromarray(np.where(self.free, 255, 0).astype(np.uint8))
        picture, mask = (whole.crop(self.region) for whole in (Image.fromarray(self.pixels), mask))
        return images.fit(picture, width, height, "pad"), images.fit(mask, width, height, "pad")


def describe_file(path: Path) -> list[str]:
    """A line where the mask in a file is transparent anywhere. Errors as of `images.open_image`."""
    return [f"{str(path)!r}: {TRANSPARENT}"] if images.is_transparent(path) else []


def read_mask(picture: Image.Image, mask: Image.Image) -> Masked:
    """All of a picture, with the part under white, at least half of it, to be painted anew.

    Transparency lies on white, as in any picture, and is warned of. Raises InputError where the mask has another size,
    or is nowhere white.
    """
    if picture.size != mask.size:
        (width, height), (mask_width, mask_height) = picture.size, mask.size
        shown = f"the mask is {mask_width}x{mask_height} and its picture {width}x{height}"
        raise InputError(f"{shown}: give a mask of the picture's size")
    if colours.is_transparent(mask):
        warnings.warn(TRANSPARENT, InputWarning, stacklevel=2)
    free = images.to_mask([mask])[0, 0] > 0.5
    if not free.any():
        raise InputError("the mask is nowhere white, so nothing would be painted: white is what changes")
    return Masked(np.asarray(images.require_rgb(picture)), free, (0, 0, *picture.size))


def find_region(free: np.ndarray, aspect: float, border: int) -> Region:
    """The part around what is free (height, width), with ``border`` pixels more, widened to an aspect (width / height).

    As diffusers' `VaeImageProcessor.get_crop_region` (0.42.1) does it: the picture's edges push the part back, and
    where the picture is too small, the aspect is another.
    """
    rows, columns = np.flatnonzero(free.any(1)), np.flatnonzero(free.any(0))
    height, width = free.shape
    left, right = max(columns[0] - border, 0), min(columns[-1] + 1 + border, width)
    top, bottom = max(rows[0] - border, 0), min(rows[-1] + 1 + border, height)
    if (right - left) / (bottom - top) > aspect:
        top, bottom = _widen(top, bottom, (right - left) / aspect, height)
    else:
        left, right = _widen(left, right, (bottom - top) * aspect, width)
    return int(left), int(top), int(right), int(bottom)


def _widen(start: int, stop: int, wanted: float, most: int) -> tuple[int, int]:
    """The range made ``wanted`` long around its middle, within 0 to ``most``."""
    length = stop - start + int(wanted - (stop - start))
    start -= (length - (stop - start)) // 2
    start = max(0, min(start, most - length))
    return start, min(start + length, most)
