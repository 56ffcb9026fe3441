"""The VAE in bounded memory: overlapping tiles, blended where they meet.

Normalisations see one tile at a time, so tones may shift slightly against the whole image at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from jstyle.runtime import jt

OVERLAP = 0.25  # of a tile's side, shared with each neighbour


def in_tiles(run: Callable[[jt.Var], jt.Var], x: jt.Var, tile: int, scale: float) -> jt.Var:
    """run(x) from tiles of (batch, channels, tile, tile), each blended linearly into its neighbours.

    ``run`` maps a tile to one whose sides are ``scale`` times as long.
    """
    height, width = x.shape[2:]
    shape = (round(height * scale), round(width * scale))
    total, weights = np.zeros(()), np.zeros(shape, np.float32)
    for top, bottom in _spans(height, tile):
        for left, right in _spans(width, tile):
            out = np.array(run(x[:, :, top:bottom, left:right]).numpy())
            if total.ndim == 0:
                total = np.zeros((*out.shape[:2], *shape), np.float32)
            place = slice(round(top * scale), round(bottom * scale)), slice(round(left * scale), round(right * scale))
            weight = np.outer(*(_ramp(size, round(tile * scale)) for size in out.shape[2:])).astype(np.float32)
            total[:, :, place[0], place[1]] += out * weight
            weights[place] += weight
    return jt.array(total / weights)


def _spans(length: int, tile: int) -> Iterator[tuple[int, int]]:
    """Overlapping [start, stop) intervals of at most ``tile`` that cover the length."""
    if length <= tile:
        return iter([(0, length)])
    stride = max(1, round(tile * (1 - OVERLAP)))
    starts: list[int] = [*range(0, length - tile, stride), length - tile]
    return iter([(start, start + tile) for start in starts])


def _ramp(size: int, tile: int) -> np.ndarray:
    """Weights that rise from and fall to the edges over the overlap; never zero, so that borders count."""
    rise = max(1, round(tile * OVERLAP))
    distance = np.minimum(np.arange(size), np.arange(size)[::-1]) + 1.0
    return np.minimum(distance / rise, 1.0)
