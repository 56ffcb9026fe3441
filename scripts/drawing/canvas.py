"""What pictures are drawn with: shapes as masks, laid over one another in colours and gradients.

Positions are fractions of the side from the upper left corner; shapes are written as "x y, x y" in hundredths
of it. A mask is float32 (side, side) in [0, 1], a picture float32 (side, side, 3).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFilter

SIZE = 512
"""Pixels of a finished picture's side."""

FINE = 3 * SIZE
"""Pixels of the side while it is drawn: reduced at the end, so that edges come out smooth."""

Y, X = np.mgrid[0:FINE, 0:FINE].astype(np.float32) / FINE
"""The place of every pixel."""


def rgb(colour: str) -> np.ndarray:
    return np.array(ImageColor.getrgb(colour), np.float32) / 255


def points(text: str) -> np.ndarray:
    return np.array([pair.split() for pair in text.split(",")], np.float32) / 100


def smooth(text: str, closed: bool = True) -> np.ndarray:
    """A Catmull-Rom curve through the points, (n, 2)."""
    p = points(text)
    p = np.concatenate([p[-1:], p, p[:2]] if closed else [p[:1], p, p[-1:]])
    t = np.linspace(0, 1, 16, endpoint=False)[:, None]
    parts = [
        b + 0.5 * t * (c - a) + t**2 * (a - 2.5 * b + 2 * c - 0.5 * d) + t**3 * (1.5 * (b - c) + 0.5 * (d - a))
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:])
    ]
    return np.concatenate([*parts, p[-2:-1]])


def drawn(draw: Callable[[ImageDraw.ImageDraw], object]) -> np.ndarray:
    image = Image.new("L", (FINE, FINE))
    draw(ImageDraw.Draw(image))
    return np.asarray(image, np.float32) / 255


def area(outline: str | np.ndarray) -> np.ndarray:
    corners = (points(outline) if isinstance(outline, str) else outline) * FINE
    return drawn(lambda d: d.polygon(corners.ravel().tolist(), fill=255))


def line(path: str | np.ndarray, width: float) -> np.ndarray:
    """A stroke with round joints and ends."""
    joints = (points(path) if isinstance(path, str) else path) * FINE
    r = max(1, width * FINE) / 2

    def draw(d: ImageDraw.ImageDraw) -> None:
        d.line(joints.ravel().tolist(), fill=255, width=max(1, round(2 * r)))
        for x, y in joints:
            d.ellipse((x - r, y - r, x + r, y + r), fill=255)

    return drawn(draw)


def ellipse(x: float, y: float, rx: float, ry: float | None = None) -> np.ndarray:
    return ((X - x) ** 2 / rx**2 + (Y - y) ** 2 / (ry or rx) ** 2 < 1).astype(np.float32)


def soft(mask: np.ndarray, radius: float) -> np.ndarray:
    image = Image.fromarray((mask * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius * FINE)), np.float32) / 255


def noise(rng: np.random.Generator, cells: int, octaves: int = 4) -> np.ndarray:
    """Smooth noise in [0, 1]: random grids of ever finer cells, each half as strong as the last."""
    total = np.zeros((FINE, FINE), np.float32)
    for i in range(octaves):
        grid = Image.fromarray(rng.random((cells << i, cells << i), np.float32))
        total += np.asarray(grid.resize((FINE, FINE), Image.Resampling.BICUBIC)) / 2**i
    return (total - total.min()) / (total.max() - total.min())


def backdrop(*stops: tuple[float, str]) -> np.ndarray:
    """A vertical gradient through colours at given heights, (side, side, 3)."""
    heights, colours = [stop[0] for stop in stops], np.stack([rgb(stop[1]) for stop in stops])
    return np.stack([np.interp(Y, heights, colours[:, i]) for i in range(3)], -1).astype(np.float32)


def fill(p: np.ndarray, mask: np.ndarray, colour: str, to: str | None = None, angle: float = 90) -> None:
    """Lay on a colour, or a gradient to a second one at `angle` degrees (0 rightwards, 90 downwards)."""
    rows, columns = np.nonzero(mask.max(1))[0], np.nonzero(mask.max(0))[0]
    if len(rows):
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        along = X[box] * np.cos(np.radians(angle)) + Y[box] * np.sin(np.radians(angle))
        t = ((along - along.min()) / max(1e-6, float(np.ptp(along))))[..., None]
        p[box] += (rgb(colour) * (1 - t) + rgb(to or colour) * t - p[box]) * mask[box][..., None]


def glow(p: np.ndarray, x: float, y: float, radius: float, colour: str, strength: float) -> None:
    fill(p, np.exp(-((X - x) ** 2 + (Y - y) ** 2) / radius**2) * strength, colour)


def finished(p: np.ndarray) -> Image.Image:
    """The picture in its final size."""
    fine = Image.fromarray((np.clip(p, 0, 1) * 255).round().astype(np.uint8))
    return fine.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
