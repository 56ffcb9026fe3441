"""Small pictures of latents in no time, for previews: a linear map from a latent to its colour.

The map is fitted once a model, on a chart of colours that the model's own autoencoder encodes, so any number of
channels and any scale will do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from jstyle.runtime import jt

_PATCHES = 8
"""Of the chart, along each side."""

_CELLS = 4
"""Latents of a patch, along each side."""


class LatentColours:
    """What colour a latent stands for, in one model."""

    def __init__(self, pipe: Any) -> None:
        """Encodes one chart, of `_PATCHES` x `_CELLS` latents a side."""
        side = _PATCHES * _CELLS
        factor = pipe.vae.config.factor
        colours = _draw_chart().repeat(_CELLS, 1).repeat(_CELLS, 2)  # (3, side, side)
        chart = colours.repeat(factor, 1).repeat(factor, 2)[None]
        latents = np.array(pipe.encode_images(jt.array(chart)).numpy())[0].reshape(-1, side * side)
        known = np.vstack([latents, np.ones((1, side * side))])
        solution = np.linalg.lstsq(known.T, colours.reshape(3, -1).T, rcond=None)[0]
        self._map = solution.astype(np.float32)  # (channels + 1, 3)

    def draw(self, latents: np.ndarray, side: int = 192) -> Image.Image:
        """(channels, height, width) as RGB, about ``side`` pixels along its longer side."""
        channels, height, width = latents.shape
        flat = latents.reshape(channels, -1).T
        colours = flat @ self._map[:-1] + self._map[-1]
        pixels = np.rint((np.clip(np.nan_to_num(colours), -1, 1) + 1) * 127.5).astype(np.uint8)
        picture = Image.fromarray(pixels.reshape(height, width, 3))
        scale = max(1, side // max(height, width))
        return picture.resize((width * scale, height * scale), Image.Resampling.BICUBIC)


def _draw_chart() -> np.ndarray:
    """Patches of colours in [-1, 1], (3, `_PATCHES`, `_PATCHES`) float32, always the same."""
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (3, _PATCHES, _PATCHES)).astype(np.float32)
