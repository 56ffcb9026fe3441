"""Poster and sepia photograph: even areas and tones on paper."""

from __future__ import annotations

import numpy as np

from recipes.tiny.drawings.fields import noise, places, shift, threshold
from recipes.tiny.drawings.layers import Layers, blur
from recipes.tiny.drawings.palette import cover, luminance, mix, saturate


def poster(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """A screen print: muted flat colours behind, strong ones in front, a hard shade, dark contours."""
    behind = mix(saturate(layers.colours, 0.85) * (1, 0.95, 0.84), (252, 224, 170), 0.26)
    before = saturate(layers.colours, 1.15)
    picture = layers.paint(np.where(layers.is_object[:, None], before, behind))
    picture = cover(picture, 0.26 * threshold(-layers.relief, 0.22, 0.08), (0.12, 0.05, 0.2))
    return cover(picture, layers.draw_lines(layers.outline, 1.6), (0.15, 0.12, 0.22))


def sepia(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """An old photograph: one brown ink, rounded forms in front of a blurred distance, dark corners."""
    grey = luminance(layers.flat)
    far = luminance(blur(mix(layers.colours, (150, 150, 150), 0.25)[layers.pixels], 0.012 * layers.size))
    grey = far + layers.mask * (grey + 0.42 * layers.relief - far)
    x, y = places(layers.size) - 50
    grey = (grey - 0.05 * layers.draw_lines(layers.outline, 0.8)) * (1.06 - (x**2 + y**2) / 6800)
    grey = blur(np.clip(grey, 0, 1), 0.004 * layers.size) + 0.035 * (shift(noise(layers.size, 40), rng) - 0.5)
    tone = np.clip(grey, 0, 1)[..., None] ** np.array([0.8, 1.05, 1.4], np.float32)
    tone = np.array([0.17, 0.1, 0.06], np.float32) + tone * np.array([0.8, 0.78, 0.68], np.float32)
    edge = 50 - np.maximum(np.abs(x), np.abs(y))
    return cover(tone, threshold(-edge, -3, 0.8), (0.95, 0.91, 0.82))
