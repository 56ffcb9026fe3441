"""Watercolour, oil and pointillism: pigment laid on with a brush."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from recipes.tiny.drawings.fields import average_cells, cells, noise, places, shift, threshold
from recipes.tiny.drawings.layers import Layers, blur
from recipes.tiny.drawings.palette import cover, luminance, mix, saturate


def watercolour(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Pale washes that run and gather at their edges, with bare paper between them and around."""
    size = layers.size
    light = mix(saturate(layers.colours, 1.25), (255, 255, 255), 0.4)
    washes = np.where(layers.is_object[:, None], 0.35 * light + 0.65 * saturate(layers.colours, 1.15), light)
    picture = cover(layers.paint(washes), 0.9 * layers.draw_lines(layers.outline, 2.2), (1, 1, 1))
    picture = _bend(picture, rng)
    pool = shift(noise(size, 6), rng) + 0.5 * shift(noise(size, 14), rng)
    picture = 1 - (1 - picture) * (0.45 + 0.75 * pool)[..., None]
    picture -= 1.3 * np.clip(blur(picture, 0.022 * size) - picture, 0, 1)
    x, y = np.abs(places(size) - 50)
    border = 50 - np.maximum(x, y) + 7 * (shift(noise(size, 14), rng) - 0.5)
    return cover(picture, threshold(-border, -5, 1.4), (0.99, 0.985, 0.965))


def _bend(picture: np.ndarray, rng: np.random.Generator, meshes: int = 11, by: float = 0.026) -> np.ndarray:
    """The picture as an unsteady hand would bend it: the corners of a mesh move by up to this share of the side."""
    size = len(picture)
    at = np.linspace(0, size, meshes + 1)
    corners = np.stack(np.meshgrid(at, at), -1) + rng.uniform(-by, by, (meshes + 1, meshes + 1, 2)) * size
    corners[0, :, 1], corners[-1, :, 1], corners[:, 0, 0], corners[:, -1, 0] = 0, size - 1, 0, size - 1
    edge = np.rint(at).astype(int).tolist()
    mesh = []
    for i in range(meshes):
        for j in range(meshes):
            quad = corners[[i, i + 1, i + 1, i], [j, j, j + 1, j + 1]].ravel().tolist()
            mesh.append(((edge[j], edge[i], edge[j + 1], edge[i + 1]), quad))
    image = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))
    bent = image.transform((size, size), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
    return np.asarray(bent, np.float32) * (1 / 255)


@lru_cache(maxsize=8)
def _make_brushes(length: int, width: int) -> list[Image.Image]:
    """A brush stroke in 24 directions: bristles run along it, and its ends are ragged."""
    half = length // 2 + 1
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    rng = np.random.default_rng(length)
    hair = rng.uniform(-0.15, 0.15, 64)
    stamps = []
    for turn in np.arange(24) * np.pi / 24:
        along, side = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        bristle = hair[np.clip((side * 12 / width + 32).astype(int), 0, 63)]
        reach = (np.abs(along) / (length / 2)) ** 3 + (np.abs(side) / (width / 2)) ** 3 + bristle
        stamps.append(Image.fromarray((np.clip((1 - reach) * width / 3, 0, 1) * 255).astype(np.uint8)))
    return stamps


@lru_cache(maxsize=16)
def _place_strokes(size: int, spacing: int, salt: int) -> np.ndarray:
    """x and y of strokes, (strokes, 2), in random order, about `spacing` apart and up to the edges."""
    rng = np.random.default_rng([spacing, salt])
    line = np.arange(-spacing // 2, size + spacing, spacing)
    grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    grid = grid + rng.uniform(-0.45, 0.45, grid.shape) * spacing
    return np.clip(rng.permutation(grid), 0, size - 1).astype(int)


def _paint_strokes(base: np.ndarray, colours: np.ndarray, flow: np.ndarray, at: np.ndarray, scale: float) -> np.ndarray:
    """Strokes on a ground, and the height of the paint, (size, size, 4). `flow` gives directions in radians."""
    ground = np.dstack([np.clip(base, 0, 1), np.full(base.shape[:2], 0.5, np.float32)])
    canvas = Image.fromarray((ground * 255).astype(np.uint8))  # the height is where RGBA has alpha
    brushes = _make_brushes(round(20 * scale), round(7 * scale))
    half = brushes[0].width // 2
    x, y = at.T
    turns = np.rint(flow[y, x] * (24 / np.pi)).astype(int) % 24
    heights = 40 + 37 * np.arange(len(at)) % 176
    paints = np.column_stack([np.clip(colours[y, x], 0, 1) * 255, heights]).astype(int)
    for corner, turn, paint in zip((at - half).tolist(), turns.tolist(), paints.tolist()):
        canvas.paste(tuple(paint), (corner[0], corner[1]), brushes[turn])
    return np.asarray(canvas, np.float32) * (1 / 255)


def oil(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Thick strokes, along the edges on the object and in eddies behind it, with ridges lit from one side."""
    size = layers.size
    scale = size / 128
    warm = saturate(mix(layers.colours, (255, 196, 64), 0.1), 1.3)
    table = np.where(layers.is_object[:, None], saturate(layers.colours, 1.25), warm)
    picture = layers.paint(table) + 0.2 * layers.relief[..., None] * np.array([1, 0.9, 0.55], np.float32)
    grain = shift(noise(size, 16), rng)[..., None] - 0.5
    colours = picture + grain * np.array([0.2, 0.18, 0.1], np.float32)
    eddies = 5 * shift(noise(size, 3), rng)
    body = blur(layers.mask, 0.05 * size)
    down, across = np.gradient(body)
    around = np.arctan2(across, -down)
    salt = int(rng.integers(8))
    far = _paint_strokes(picture, colours, eddies, _place_strokes(size, round(9 * scale), salt), scale)
    at = _place_strokes(size, round(7 * scale), salt + 8)
    at = at[layers.mask[at[:, 1], at[:, 0]] > 0.5]
    near = _paint_strokes(picture, colours, around, at, 0.7 * scale)
    whole = far + layers.mask[..., None] * (near - far)
    ridge = np.roll(whole[..., 3], (1, 1), (0, 1)) - np.roll(whole[..., 3], (-1, -1), (0, 1))
    return whole[..., :3] - 0.11 * ridge[..., None] - 0.3 * layers.draw_lines(layers.outline, 1)[..., None]


def pointillism(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Round dots of bright, unmixed colours on a pale ground."""
    size, rows = layers.size, 19
    grid = cells(size, rows, 0.4, int(rng.integers(6)))
    table = np.where(layers.is_object[:, None], saturate(layers.colours, 1.3), saturate(layers.colours, 1.1))
    picture = np.clip(layers.paint(table) + 0.14 * layers.relief[..., None], 0, 1)
    dots = average_cells(picture, 2 * grid.number + (layers.mask > 0.5))
    dots = saturate(np.clip(dots + rng.choice(_ACCENTS, rows * rows)[grid.number], 0, 1), 1.15)
    ground = mix(picture, (252, 246, 230), 0.5)
    dot = threshold(0.45 * 100 / rows - grid.distance, 0, 100 / size)
    return cover(ground, dot, dots * (0.85 + 0.15 * luminance(dots))[..., None])


_ACCENTS = np.array(
    [(0, 0, 0), (0.1, 0.06, -0.08), (-0.08, 0, 0.12), (0.08, -0.06, 0.06), (-0.05, 0.08, -0.04)], np.float32
)
"""What dots add to the colour they stand for: warmer, cooler, redder, greener."""
