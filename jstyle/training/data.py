"""The order of the examples, and batches made ahead of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

import numpy as np

from jstyle.training.draws import generator

Batch = TypeVar("Batch")


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
    return generator(seed, epoch, "order").permutation(count)


@contextmanager
def prefetched(batch: Callable[[int], Batch], executor: Executor, ahead: int = 2) -> Iterator[Callable[[int], Batch]]:
    """``batch`` with the next ``ahead`` indices made by the executor meanwhile. The batches stay the same.

    ``batch`` must not touch Jittor. Jittor holds Python's lock while it computes, so only another process makes
    batches at the same time; its pool is best started before the first computation.
    """
    waiting: dict[int, Future[Batch]] = {}

    def get(index: int) -> Batch:
        for wanted in range(index, index + ahead + 1):
            if wanted not in waiting:
                waiting[wanted] = executor.submit(batch, wanted)
        return waiting.pop(index).result()

    try:
        yield get
    finally:
        for future in waiting.values():
            future.cancel()
