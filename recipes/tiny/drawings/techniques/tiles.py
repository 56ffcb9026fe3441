"""Mosaic, pixel art and stained glass: a picture in pieces of one colour each."""

from __future__ import annotations

import numpy as np

from recipes.tiny.drawings.fields import averaged, cells, moved, noise, places, threshold
from recipes.tiny.drawings.layers import Layers
from recipes.tiny.drawings.palette import mixed, over, saturated


def mosaic(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Small stones in mortar: muted colours, a row of cut stones along the object's edge."""
    size, rows = layers.size, 17
    grid = cells(size, rows, 0.24, int(rng.integers(6)), staggered=False)
    stone = mixed(saturated(layers.colours, 0.8), (216, 196, 160), 0.14)
    stone = np.where(layers.is_object[:, None], saturated(layers.colours, 1.05), stone)
    picture = averaged(layers.paint(stone), 2 * grid.number + (layers.mask > 0.5))
    picture *= rng.uniform(0.86, 1.1, rows * rows).astype(np.float32)[grid.number][..., None]
    picture *= (1.04 - 0.025 * grid.distance)[..., None]
    joint = np.maximum(threshold(-grid.border, -0.42, 0.6), layers.lines(layers.outline, 1))
    return over(picture, joint, (0.6, 0.56, 0.5))


PIXELS = 32
"""Down and across a picture of pixel art."""

_CONSOLE = np.array(
    [
        (26, 28, 44), (255, 255, 255), (172, 186, 204), (88, 104, 132), (222, 30, 56), (140, 16, 56),
        (255, 136, 20), (196, 84, 12), (255, 226, 60), (206, 156, 30), (44, 190, 64), (16, 118, 72),
        (22, 222, 206), (12, 144, 148), (38, 92, 240), (28, 50, 150), (96, 190, 255), (150, 60, 210),
        (90, 30, 130), (255, 118, 190), (196, 66, 130), (138, 74, 36), (84, 44, 30), (255, 214, 160),
        (160, 220, 90), (44, 40, 92), (226, 160, 100), (208, 236, 255), (112, 84, 62),
    ],
    np.float32,
) / 255  # fmt: skip
"""All colours there are in pixel art."""


def _nearest(colours: np.ndarray) -> np.ndarray:
    weight = np.array([0.55, 0.77, 0.45], np.float32)
    gap = ((colours[:, None] - _CONSOLE) * weight) ** 2
    return _CONSOLE[gap.sum(-1).argmin(-1)]


def pixel_art(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Squares in few bright colours; shades are dithered, the object has a dark contour."""
    side = layers.size // PIXELS
    middle = slice(side // 2, None, side)
    part, relief = layers.pixels[middle, middle], layers.relief[middle, middle]
    bright = saturated(layers.colours, np.where(layers.is_object, 1.3, 1.5)[:, None])
    light, dark = _nearest(bright), _nearest(bright * 0.78)
    row, column = np.indices(part.shape)
    own = layers.is_object[part]
    checks = (row + column) % 2 == 0
    sky = (part == 0) & ((row < 9) | ((row < 12) & checks))
    shaded = np.where(own, (relief < -0.35) | ((relief < -0.15) & checks), sky)
    small = np.where(shaded[..., None], dark[part], light[part])
    around = np.pad(own, 1)
    near = around[:-2, 1:-1] | around[2:, 1:-1] | around[1:-1, :-2] | around[1:-1, 2:]
    small = np.where((near & ~own)[..., None], _CONSOLE[0], small)
    return small.repeat(side, 0).repeat(side, 1)


def stained_glass(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Pieces of glowing glass between lead: large ones behind the object, its own parts in it."""
    size, rows = layers.size, 6
    grid = cells(size, rows, 0.75, int(rng.integers(12)))
    glass = saturated(layers.colours, 1.7)
    glass = glass * (0.62 + 0.38 / np.maximum(glass.max(1, keepdims=True), 0.3) ** 0.5)
    picture = layers.paint(glass)
    tint = rng.uniform(-0.2, 0.14, (rows * rows, 1)) + rng.uniform(-0.08, 0.08, (rows * rows, 3))
    behind = (1 - layers.mask)[..., None]
    picture = picture * (1 + tint.astype(np.float32)[grid.number] * behind)
    shine = 0.72 + 0.42 * moved(noise(size, 8), rng) + 0.25 * layers.relief
    picture = np.clip(picture * shine[..., None], 0, 1) ** 0.92
    lead = np.maximum(layers.lines(layers.contours, 1.5), layers.lines(layers.outline, 2.4))
    lead = np.maximum(lead, threshold(-grid.border, -0.95, 0.7) * (1 - layers.mask))
    x, y = np.abs(places(size) - 50)
    lead = np.maximum(lead, threshold(np.maximum(x, y), 47.6, 0.8))
    return over(picture, lead, (0.05, 0.05, 0.07))
