"""The running average against float64, and its exact return."""

from __future__ import annotations

import numpy as np
import pytest

from jstyle.runtime import jt
from jstyle.training.average import Average


def test_the_average_follows_its_formula(path: str) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((30, 5, 3)).astype(np.float32)
    w = jt.array(values[0])
    average, truth = Average({"w": w}, 0.8), np.float64(values[0])
    for number, value in enumerate(values[1:], start=1):
        w.assign(jt.array(value))
        average.update(number)
        decay = min(0.8, number / (number + 9))
        truth = decay * truth + (1 - decay) * value
    assert np.abs(average.values["w"].numpy() - truth).max() < 1e-6
    assert np.array_equal(w.numpy(), values[-1])


def test_it_is_swapped_in_and_out_exactly() -> None:
    w = jt.array(np.float32([1.1, 2.2]))
    average = Average({"w": w}, 0.5)
    w.assign(jt.array(np.float32([3.3, 4.4])))
    average.update(1)
    kept, own = average.values["w"].numpy().copy(), w.numpy().copy()
    with pytest.raises(KeyboardInterrupt), average.swapped_in():
        assert np.array_equal(w.numpy(), kept)
        lazy = w * 2  # evaluated only after the return
        raise KeyboardInterrupt
    assert np.array_equal(w.numpy(), own) and np.array_equal(average.values["w"].numpy(), kept)
    assert np.array_equal(lazy.numpy(), 2 * kept)
    assert not np.array_equal(kept, own)
