"""The order of the examples."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from jstyle.training.draws import make_generator


def batch_indices(index: int, size: int, count: int, seed: int) -> np.ndarray:
    """Which of ``count`` examples make up the batch of this index, (size,).

    The batches cut the endless row of shuffled epochs into equal pieces: each example comes once an epoch,
    and no batch depends on an earlier one.
    """
    places = np.arange(index * size, (index + 1) * size)
    return np.array([epoch_order(place // count, count, seed)[place % count] for place in places.tolist()])


@lru_cache(maxsize=4)
def epoch_order(epoch: int, count: int, seed: int) -> np.ndarray:
    """The examples' order in one epoch, (count,)."""
    return make_generator(seed, epoch, "order").permutation(count)
