"""From a scene to a picture."""

from __future__ import annotations

import numpy as np

from recipes.tiny.drawings import techniques
from recipes.tiny.drawings.layers import draw_layers
from recipes.tiny.drawings.scene import Scene


def render(scene: Scene, size: int = 128) -> np.ndarray:
    """The picture as (size, size, 3) uint8, always the same for a scene.

    Raises ValueError where `size` is not a multiple of 32.
    """
    if size < 32 or size % 32:
        raise ValueError(f"pictures are a multiple of 32 pixels wide, not {size}")
    layers = draw_layers(scene, size)
    picture = techniques.DRAWN_BY[scene.technique](layers, scene.rng("technique"))
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def draw_mask(scene: Scene, size: int = 128) -> np.ndarray:
    """How much of each pixel is the object, (size, size) float32 in [0, 1]."""
    return draw_layers(scene, size).mask
