"""Dropout (arXiv 1207.0580) that a resumed run, and a block that is computed again, draw alike."""

from __future__ import annotations

import numpy as np

from jstyle import ops
from jstyle.runtime import jt
from jstyle.training.draws import make_generator
from jstyle.training.teaching.tuning import Clock


class Dropout:
    """Hides a share of a layer's inputs while training, as many at each index; the rest counts more for it.

    Drawn by (seed, index, layer): the same when a block is computed again and when a run is resumed.
    """

    def __init__(self, share: float, seed: int, name: str, clock: Clock) -> None:
        self.share, self.seed, self.name, self.clock = share, seed, name, clock

    def __call__(self, x: jt.Var) -> jt.Var:
        """The same shape; x itself while nothing is trained."""
        if self.clock.index is None:
            return x
        draws = make_generator(self.seed, self.clock.index, f"dropout {self.name}").random(tuple(x.shape), np.float32)
        kept = jt.array((draws >= self.share) / np.float32(1 - self.share)).stop_grad()
        return x * ops.cast(kept, str(x.dtype))
