"""The order of the examples."""

from __future__ import annotations

import numpy as np
import pytest

from jstyle.training.data import batch_indices, epoch_order
from jstyle.training.draws import make_generator


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
    assert len({make_generator(*key).integers(2**60) for key in keys}) == 4
    assert make_generator(*keys[0]).integers(2**60) == make_generator(*keys[0]).integers(2**60)
