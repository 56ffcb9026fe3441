"""What textures are made of: smooth noise and cells.

Both continue seamlessly past the picture's edges, are computed once for each size, and are shifted at random for each
picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image


@lru_cache(maxsize=64)
def noise(size: int, cells: int, across: int = 0) -> np.ndarray:
    """Smooth noise, (size, size) in [0, 1], with `cells` bumps down the picture, and `across` it if given."""
    shape = (cells, across or cells)
    grid = np.random.default_rng([cells, across]).random(shape, np.float32)
    image = Image.fromarray(np.pad(grid, 3, mode="wrap"))
    scale = (size / shape[1], size / shape[0])
    frame = (round(scale[0] * (shape[1] + 6)), round(scale[1] * (shape[0] + 6)))
    big = np.asarray(image.resize(frame, Image.Resampling.BICUBIC))
    top, left = round(3 * scale[1]), round(3 * scale[0])
    return np.clip(big[top : top + size, left : left + size], 0, 1)


def shift(field: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The field, rolled by a random distance in both directions."""
    return np.roll(field, tuple(rng.integers(0, len(field), 2).tolist()), (0, 1))


@lru_cache(maxsize=4)
def places(size: int) -> np.ndarray:
    """x and y of each pixel in hundredths of the side, (2, size, size)."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) * (100 / size) + 50 / size
    return np.stack([x, y])


@dataclass(frozen=True)
class Cells:
    """The square cut into cells around scattered points."""

    number: np.ndarray
    """(size, size) intp: the cell to which each pixel belongs"""
    border: np.ndarray
    """(size, size): distance to the next cell, in hundredths of the side"""
    distance: np.ndarray
    """(size, size): distance to the cell's point, likewise"""
    centres: np.ndarray
    """(cells, 2) intp: the pixel of each point, y and x"""


@lru_cache(maxsize=64)
def cells(size: int, rows: int, jitter: float, salt: int = 0, staggered: bool = True) -> Cells:
    """Cells around the points of a grid, each moved by up to half a step times `jitter`."""
    rng = np.random.default_rng([rows, salt])
    y, x = np.mgrid[0:rows, 0:rows].astype(np.float32)
    x += 0.5 + (0.5 * (y % 2) - 0.25 if staggered else 0) + jitter * rng.uniform(-0.5, 0.5, x.shape)
    y += 0.5 + jitter * rng.uniform(-0.5, 0.5, y.shape)
    step = 100 / rows
    px, py = places(size)
    row, column = (py / step).astype(int), (px / step).astype(int)
    near, names = [], []
    for dy in (-1, 0, 1):
        for dx in (-2, -1, 0, 1, 2):
            r, c = (row + dy) % rows, (column + dx) % rows
            across = (px / step - x[r, c] + rows / 2) % rows - rows / 2
            down = (py / step - y[r, c] + rows / 2) % rows - rows / 2
            near.append(np.hypot(across, down))
            names.append(r * rows + c)
    order = np.argsort(np.stack(near), 0)[:2]
    first, second = np.take_along_axis(np.stack(near), order, 0) * step
    number = np.take_along_axis(np.stack(names), order[:1], 0)[0]
    pixels = np.stack([y.ravel(), x.ravel()], 1) * (size / rows)
    return Cells(number, (second - first) / 2, first, pixels.astype(np.intp) % size)


def average_cells(picture: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Each cell in its mean colour; `number` is any (size, size) array of small integers."""
    flat = number.ravel()
    count = np.maximum(np.bincount(flat), 1)
    means = [np.bincount(flat, picture[..., i].ravel()) / count for i in range(3)]
    return np.stack(means, -1).astype(np.float32)[number]


def threshold(field: np.ndarray | float, at: np.ndarray | float, softness: float) -> np.ndarray:
    """0 where the field is below `at`, 1 where it is above, with a ramp as wide as `softness` between."""
    return np.clip((field - at) / softness + 0.5, 0, 1)
