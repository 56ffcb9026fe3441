"""Mosaic, pixel art and stained glass: a picture in pieces of one colour each."""

from __future__ import annotations

import numpy as np

from recipes.tiny.drawings.fields import average_cells, cells, noise, places, shift, threshold
from recipes.tiny.drawings.layers import Layers
from recipes.tiny.drawings.palette import cover, mix, saturate


def mosaic(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Small stones in mortar: muted colours, a row of cut stones along the object's edge."""
    size, rows = layers.size, 17
    grid = cells(size, rows, 0.24, int(rng.integers(6)), staggered=False)
    stone = mix(saturate(layers.colours, 0.8), (216, 196, 160), 0.14)
    stone = np.where(layers.is_object[:, None], saturate(layers.colours, 1.05), stone)
    picture = average_cells(layers.paint(stone), 2 * grid.number + (layers.mask > 0.5))
    picture *= rng.uniform(0.86, 1.1, rows * rows).astype(np.float32)[grid.number][..., None]
    picture *= (1.04 - 0.025 * grid.distance)[..., None]
    joint = np.maximum(threshold(-grid.border, -0.42, 0.6), layers.draw_lines(layers.outline, 1))
    return cover(picture, joint, (0.6, 0.56, 0.5))


PIXELS = 32
"""The number of pixels along a side of pixel art."""

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
"""All the colours of pixel art."""


def _match_palette(colours: np.ndarray) -> np.ndarray:
    """The most similar colour of the console for each of (n, 3)."""
    weight = np.array([0.55, 0.77, 0.45], np.float32)
    gap = ((colours[:, None] - _CONSOLE) * weight) ** 2
    return _CONSOLE[gap.sum(-1).argmin(-1)]


def pixel_art(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Squares in a few bright colours; shades are dithered, the object has a dark contour."""
    side = layers.size // PIXELS
    middle = slice(side // 2, None, side)
    part, relief = layers.pixels[middle, middle], layers.relief[middle, middle]
    bright = saturate(layers.colours, np.where(layers.is_object, 1.3, 1.5)[:, None])
    light, dark = _match_palette(bright), _match_palette(bright * 0.78)
    row, column = np.indices(part.shape)
    is_object = layers.is_object[part]
    checks = (row + column) % 2 == 0
    sky = (part == 0) & ((row < 9) | ((row < 12) & checks))
    shaded = np.where(is_object, (relief < -0.35) | ((relief < -0.15) & checks), sky)
    small = np.where(shaded[..., None], dark[part], light[part])
    around = np.pad(is_object, 1)
    near = around[:-2, 1:-1] | around[2:, 1:-1] | around[1:-1, :-2] | around[1:-1, 2:]
    small = np.where((near & ~is_object)[..., None], _CONSOLE[0], small)
    return small.repeat(side, 0).repeat(side, 1)


def stained_glass(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Pieces of glowing glass between lead: large ones behind the object, in the object its parts."""
    size, rows = layers.size, 6
    grid = cells(size, rows, 0.75, int(rng.integers(12)))
    glass = saturate(layers.colours, 1.7)
    glass = glass * (0.62 + 0.38 / np.maximum(glass.max(1, keepdims=True), 0.3) ** 0.5)
    picture = layers.paint(glass)
    tint = rng.uniform(-0.2, 0.14, (rows * rows, 1)) + rng.uniform(-0.08, 0.08, (rows * rows, 3))
    behind = (1 - layers.mask)[..., None]
    picture = picture * (1 + tint.astype(np.float32)[grid.number] * behind)
    shine = 0.72 + 0.42 * shift(noise(size, 8), rng) + 0.25 * layers.relief
    picture = np.clip(picture * shine[..., None], 0, 1) ** 0.92
    lead = np.maximum(layers.draw_lines(layers.contours, 1.5), layers.draw_lines(layers.outline, 2.4))
    lead = np.maximum(lead, threshold(-grid.border, -0.95, 0.7) * (1 - layers.mask))
    x, y = np.abs(places(size) - 50)
    lead = np.maximum(lead, threshold(np.maximum(x, y), 47.6, 0.8))
    return cover(picture, lead, (0.05, 0.05, 0.07))
