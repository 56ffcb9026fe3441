"""The order of the examples, and batches made ahead of time."""

from __future__ import annotations

import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from jstyle.training.data import batch_indices, epoch_order, prefetched
from jstyle.training.draws import generator


@pytest.mark.parametrize(("size", "count"), [(4, 12), (5, 12), (7, 3), (1, 1)])
def test_each_example_comes_once_an_epoch(size: int, count: int) -> None:
    row = np.concatenate([batch_indices(index, size, count, seed=3) for index in range(6 * count)])
    for epoch in row[: len(row) // count * count].reshape(-1, count):
        assert sorted(epoch) == list(range(count))


def test_a_batch_depends_on_its_index_and_the_seed_alone() -> None:
    late = batch_indices(1000, 8, 100, seed=1)
    epoch_order.cache_clear()
    assert np.array_equal(batch_indices(1000, 8, 100, seed=1), late)
    assert not np.array_equal(batch_indices(1000, 8, 100, seed=2), late)
    orders = {tuple(epoch_order(epoch, 20, 1)) for epoch in range(10)}
    assert len(orders) == 10


def test_draws_differ_by_seed_step_and_purpose() -> None:
    keys = [(0, 0, "noise"), (1, 0, "noise"), (0, 1, "noise"), (0, 0, "times")]
    assert len({generator(*key).integers(2**60) for key in keys}) == 4
    assert generator(*keys[0]).integers(2**60) == generator(*keys[0]).integers(2**60)


def slow_batch(index: int) -> np.ndarray:
    time.sleep(0.001 * (index % 3))
    return batch_indices(index, 4, 10, seed=0)


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_prefetching_changes_no_batch(kind: str) -> None:
    executor: Executor = ThreadPoolExecutor(2)
    if kind == "processes":
        executor = ProcessPoolExecutor(2, mp_context=get_context("fork"))
    with executor, prefetched(slow_batch, executor, ahead=3) as batch:
        for index in [*range(12), 40, 41]:
            assert np.array_equal(batch(index), slow_batch(index))


def test_a_failing_batch_fails_where_it_is_asked_for() -> None:
    def batch(index: int) -> int:
        return 12 // (3 - index)

    with ThreadPoolExecutor(1) as executor, prefetched(batch, executor) as get:
        assert [get(index) for index in range(3)] == [4, 6, 12]
        with pytest.raises(ZeroDivisionError):
            get(3)
