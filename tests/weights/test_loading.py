"""Weights that are no numbers are refused before a network takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jstyle.errors import InputError
from jstyle.networks.layers import Linear
from jstyle.weights.loading import load_weights
from jstyle.weights.tensors import ArrayTensors


def load(**changes: Any) -> None:
    arrays = {"weight": np.ones((3, 4), np.float32), "bias": np.zeros(3, np.float32), **changes}
    load_weights(Linear(4, 3), ArrayTensors(arrays), "toy")


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        (np.full((3, 4), np.nan, np.float32), "weight of the toy weights holds numbers that are not finite"),
        (np.full((3, 4), 1e300), "weight of the toy weights holds numbers that are not finite"),
        (np.ones((3, 4), np.int32), "weight of the toy weights is stored as int32"),
        (np.ones((3, 4), bool), "weight of the toy weights is stored as bool"),
    ],
)
def test_what_is_no_weight_is_named(weight: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(weight=weight)


def test_large_weights_whose_sum_is_no_number_any_more_are_weights() -> None:
    load(weight=np.full((3, 4), 3e38, np.float32))
