"""Hatching and woodcut: tone by the width of parallel lines."""

from __future__ import annotations

import numpy as np

from recipes.tiny.drawings.fields import noise, places, shift, threshold
from recipes.tiny.drawings.layers import Layers
from recipes.tiny.drawings.palette import cover, luminance, saturate


def rule_lines(layers: Layers, degrees: np.ndarray | float, period: float, wobble: np.ndarray) -> np.ndarray:
    """Distance from the nearest of parallel lines, (size, size), in half periods: 0 on a line, 1 midway between two.

    `degrees`: the lines' direction, one for all or one for each part.
    """
    x, y = places(layers.size)
    c, s = np.cos(np.radians(degrees)) / period, np.sin(np.radians(degrees)) / period
    if isinstance(degrees, np.ndarray):
        c, s = (np.asarray(factor, np.float32)[layers.pixels] for factor in (c, s))
    phase = y * c - x * s + wobble
    return np.abs(2 * (phase - np.floor(phase)) - 1)


def _choose_directions(layers: Layers, of_object: float, others: tuple[float, ...]) -> np.ndarray:
    """A direction for each part, (parts,): neighbours in the setting differ."""
    numbers = np.arange(len(layers.colours))
    return np.where(layers.is_object, of_object, np.array(others)[numbers % len(others)])


def _add_contours(ink: np.ndarray, line: np.ndarray, black: np.ndarray) -> np.ndarray:
    """The ink with contours drawn, or left bare where everything around them is black."""
    return np.where(black, ink * (1 - line), np.maximum(ink, line))


def hatching(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Pen and ink: lines give tone by their width and by crossing; the object's ink has its colour."""
    size = layers.size
    wobble = 0.4 * shift(noise(size, 5), rng)
    degrees = _choose_directions(layers, 48, (-18, -30, 20, -8, 32))
    dark = 1 - luminance(layers.flat) - 0.3 * layers.relief
    dark = np.where(layers.mask > 0.5, 0.8 * dark + 0.16, 1.1 * dark - 0.18)
    dark[dark < 0.12] = -1  # a line this thin would be a row of specks
    sharp = 0.28 * 128 / size
    ink = threshold(0.9 * dark, rule_lines(layers, degrees, 5.3, wobble), sharp)
    crossing = threshold(1.3 * dark - 0.56, rule_lines(layers, degrees + 80, 5.3, wobble), sharp)
    line = layers.draw_lines(layers.outline, 1.3)
    ink = np.maximum(ink, crossing) * (1 - layers.draw_lines(layers.outline, 3.6) * (1 - layers.mask))
    ink = np.maximum(_add_contours(ink, layers.draw_lines(layers.contours, 0.9), dark > 0.75), line)
    bright = luminance(layers.colours)[:, None]
    inks = saturate(layers.colours, 1.25) * np.minimum(1, 0.56 / np.maximum(bright, 0.05))
    inks = np.where(layers.is_object[:, None], inks, np.array([0.2, 0.23, 0.37], np.float32))
    colour = cover(layers.paint(inks), line, layers.pick_main(inks))
    return cover(np.full_like(colour, (0.985, 0.965, 0.91)), ink, colour)


def woodcut(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """A black block in which gouges leave light, and a second block for the object's colour."""
    size = layers.size
    sharp = 0.3 * 128 / size
    x, _ = places(size)
    wave = 0.8 * shift(noise(size, 4), rng) + 0.12 * np.sin(x * 0.16 + rng.uniform(0, 6))
    light = 1.75 * luminance(layers.flat) - 0.6
    gouges = rule_lines(layers, _choose_directions(layers, 0, (0, -24, 18, 0, 30)), 6.2, wave)
    block = threshold(np.where(light > 0.84, 1.2, np.maximum(light, 0.13)), gouges, sharp)
    block = 1 - _add_contours(1 - block, layers.draw_lines(layers.contours, 1.4), light < 0.15)
    block = np.maximum(block, layers.draw_lines(layers.outline, 5) * (1 - layers.mask))
    shade = threshold(-1.5 * layers.relief - 0.1, rule_lines(layers, -38, 5, 0.4 * wave), sharp)
    body = 1 - np.maximum(shade, layers.draw_lines(layers.contours, 1.2))
    light = np.where(layers.mask > 0.5, body, block) * (1 - layers.draw_lines(layers.outline, 1.8))
    paper = np.array([0.95, 0.88, 0.72], np.float32)
    inks = np.where(layers.is_object[:, None], saturate(layers.colours, 0.95) * (0.25 + 0.75 * paper), paper)
    printed = layers.paint(inks)
    return cover(np.full_like(printed, (0.11, 0.09, 0.09)), light, printed)
