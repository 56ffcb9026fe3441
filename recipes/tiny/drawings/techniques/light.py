"""Neon and chalk: light lines on a dark ground."""

from __future__ import annotations

import numpy as np

from recipes.tiny.drawings.fields import moved, noise, threshold
from recipes.tiny.drawings.layers import Layers, blurred
from recipes.tiny.drawings.palette import filled, mixed, over, saturated, vivid
from recipes.tiny.drawings.techniques.lines import ruled


def neon(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Glowing tubes before black: the object's bright, the setting's dim."""
    size = layers.size
    own = layers.is_object[:, None]
    bright = layers.colours.max(1, keepdims=True)
    lights = vivid(saturated(layers.colours, 1.6)) * np.where(own, 0.5 + 0.5 * bright, 0.36)
    main = layers.main(lights)
    colour = layers.paint(np.where(own & (bright < 0.3), main, lights))
    outline, inner = layers.lines(layers.outline, 1.7), layers.lines(layers.contours, 0.9)
    tubes = over(colour * inner[..., None], outline, main)
    glow = 0.9 * blurred(tubes, 0.012 * size) + 1.5 * blurred(tubes, 0.04 * size)
    core = filled(0.35 * layers.lines(layers.outline, 0.7), (1, 1, 1))
    light = 1.1 * tubes + glow + core + filled(0.1 * layers.mask, main)
    dark = np.exp(-1.3 * light)
    return 1 - dark * filled(np.ones((size, size)), (0.97, 0.98, 0.93))


def chalk(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Crayon on slate: broken lines, rubbed and scribbled areas in pale colours."""
    size = layers.size
    rough = 0.6 * moved(noise(size, 40), rng) + 0.4 * moved(noise(size, 12), rng)
    slate = np.array([0.17, 0.24, 0.22], np.float32) + 0.1 * (moved(noise(size, 4), rng)[..., None] - 0.5)
    table = mixed(saturated(layers.colours, 1.2), (255, 255, 250), 0.24)
    colour = layers.paint(table)
    wave = 0.6 * moved(noise(size, 6), rng)
    scribble = threshold(0.7, ruled(layers, -42, 5, wave), 0.5)
    rubbed = np.where(layers.mask > 0.5, 0.34 + 0.5 * scribble, 0.2) * (0.55 + 0.8 * rough)
    picture = over(slate, np.clip(rubbed, 0, 1), colour)
    crumb = np.clip(1.9 * rough - 0.1, 0.25, 1)
    picture = over(picture, 0.6 * layers.lines(layers.contours, 0.9) * crumb, (0.92, 0.92, 0.88))
    pale = 0.55 * layers.main(table) + 0.45
    return over(picture, layers.lines(layers.outline, 1.7) * crumb, pale)
