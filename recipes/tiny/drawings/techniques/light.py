"""Neon and chalk: light lines on a dark ground."""

from __future__ import annotations

import numpy as np

from recipes.tiny.drawings.fields import noise, shift, threshold
from recipes.tiny.drawings.layers import Layers, blur
from recipes.tiny.drawings.palette import brighten, cover, mix, saturate, spread_colour
from recipes.tiny.drawings.techniques.lines import rule_lines


def neon(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Glowing tubes in front of black: the object's bright, the setting's dim."""
    size = layers.size
    is_object = layers.is_object[:, None]
    bright = layers.colours.max(1, keepdims=True)
    lights = brighten(saturate(layers.colours, 1.6)) * np.where(is_object, 0.5 + 0.5 * bright, 0.36)
    main = layers.pick_main(lights)
    colour = layers.paint(np.where(is_object & (bright < 0.3), main, lights))
    outline, inner = layers.draw_lines(layers.outline, 1.7), layers.draw_lines(layers.contours, 0.9)
    tubes = cover(colour * inner[..., None], outline, main)
    glow = 0.9 * blur(tubes, 0.012 * size) + 1.5 * blur(tubes, 0.04 * size)
    core = spread_colour(0.35 * layers.draw_lines(layers.outline, 0.7), (1, 1, 1))
    light = 1.1 * tubes + glow + core + spread_colour(0.1 * layers.mask, main)
    dark = np.exp(-1.3 * light)
    return 1 - dark * spread_colour(np.ones((size, size)), (0.97, 0.98, 0.93))


def chalk(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Crayon on slate: broken lines, rubbed and scribbled areas in pale colours."""
    size = layers.size
    rough = 0.6 * shift(noise(size, 40), rng) + 0.4 * shift(noise(size, 12), rng)
    slate = np.array([0.17, 0.24, 0.22], np.float32) + 0.1 * (shift(noise(size, 4), rng)[..., None] - 0.5)
    table = mix(saturate(layers.colours, 1.2), (255, 255, 250), 0.24)
    colour = layers.paint(table)
    wave = 0.6 * shift(noise(size, 6), rng)
    scribble = threshold(0.7, rule_lines(layers, -42, 5, wave), 0.5)
    rubbed = np.where(layers.mask > 0.5, 0.34 + 0.5 * scribble, 0.2) * (0.55 + 0.8 * rough)
    picture = cover(slate, np.clip(rubbed, 0, 1), colour)
    crumb = np.clip(1.9 * rough - 0.1, 0.25, 1)
    picture = cover(picture, 0.6 * layers.draw_lines(layers.contours, 0.9) * crumb, (0.92, 0.92, 0.88))
    pale = 0.55 * layers.pick_main(table) + 0.45
    return cover(picture, layers.draw_lines(layers.outline, 1.7) * crumb, pale)
