"""Hatching and woodcut: tone by the width of parallel lines."""

from __future__ import annotations

import numpy as np

from recipes.tiny.drawings.fields import moved, noise, places, threshold
from recipes.tiny.drawings.layers import Layers
from recipes.tiny.drawings.palette import luminance, over, saturated


def ruled(layers: Layers, degrees: np.ndarray | float, period: float, wobble: np.ndarray) -> np.ndarray:
    """Distance from the nearest of parallel lines, over half their period: 0 on the line, 1 between two.

    `degrees`: the lines' direction, one for all or one for each part.
    """
    x, y = places(layers.size)
    c, s = np.cos(np.radians(degrees)) / period, np.sin(np.radians(degrees)) / period
    if isinstance(degrees, np.ndarray):
        c, s = (np.asarray(factor, np.float32)[layers.pixels] for factor in (c, s))
    phase = y * c - x * s + wobble
    return np.abs(2 * (phase - np.floor(phase)) - 1)


def _directions(layers: Layers, own: float, others: tuple[float, ...]) -> np.ndarray:
    """A direction for each part: neighbours in the setting differ."""
    count = np.arange(len(layers.colours))
    return np.where(layers.is_object, own, np.array(others)[count % len(others)])


def _contoured(ink: np.ndarray, line: np.ndarray, black: np.ndarray) -> np.ndarray:
    """With contours drawn, and left bare where all around them is black."""
    return np.where(black, ink * (1 - line), np.maximum(ink, line))


def hatching(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Pen and ink: tone is the width and the crossing of lines; the object has an ink of its colour."""
    size = layers.size
    wobble = 0.4 * moved(noise(size, 5), rng)
    degrees = _directions(layers, 48, (-18, -30, 20, -8, 32))
    dark = 1 - luminance(layers.flat) - 0.3 * layers.relief
    dark = np.where(layers.mask > 0.5, 0.8 * dark + 0.16, 1.1 * dark - 0.18)
    dark[dark < 0.12] = -1  # a line this thin would be a row of specks
    sharp = 0.28 * 128 / size
    ink = threshold(0.9 * dark, ruled(layers, degrees, 5.3, wobble), sharp)
    crossing = threshold(1.3 * dark - 0.56, ruled(layers, degrees + 80, 5.3, wobble), sharp)
    line = layers.lines(layers.outline, 1.3)
    ink = np.maximum(ink, crossing) * (1 - layers.lines(layers.outline, 3.6) * (1 - layers.mask))
    ink = np.maximum(_contoured(ink, layers.lines(layers.contours, 0.9), dark > 0.75), line)
    bright = luminance(layers.colours)[:, None]
    inks = saturated(layers.colours, 1.25) * np.minimum(1, 0.56 / np.maximum(bright, 0.05))
    inks = np.where(layers.is_object[:, None], inks, np.array([0.2, 0.23, 0.37], np.float32))
    colour = over(layers.paint(inks), line, layers.main(inks))
    return over(np.full_like(colour, (0.985, 0.965, 0.91)), ink, colour)


def woodcut(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """A black block in which gouges leave light, and a second block for the object's colour."""
    size = layers.size
    sharp = 0.3 * 128 / size
    x, _ = places(size)
    wave = 0.8 * moved(noise(size, 4), rng) + 0.12 * np.sin(x * 0.16 + rng.uniform(0, 6))
    light = 1.75 * luminance(layers.flat) - 0.6
    gouges = ruled(layers, _directions(layers, 0, (0, -24, 18, 0, 30)), 6.2, wave)
    block = threshold(np.where(light > 0.84, 1.2, np.maximum(light, 0.13)), gouges, sharp)
    block = 1 - _contoured(1 - block, layers.lines(layers.contours, 1.4), light < 0.15)
    block = np.maximum(block, layers.lines(layers.outline, 5) * (1 - layers.mask))
    shade = threshold(-1.5 * layers.relief - 0.1, ruled(layers, -38, 5, 0.4 * wave), sharp)
    own = 1 - np.maximum(shade, layers.lines(layers.contours, 1.2))
    light = np.where(layers.mask > 0.5, own, block) * (1 - layers.lines(layers.outline, 1.8))
    paper = np.array([0.95, 0.88, 0.72], np.float32)
    inks = np.where(layers.is_object[:, None], saturated(layers.colours, 0.95) * (0.25 + 0.75 * paper), paper)
    printed = layers.paint(inks)
    return over(np.full_like(printed, (0.11, 0.09, 0.09)), light, printed)
