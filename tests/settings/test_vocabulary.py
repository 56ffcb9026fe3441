"""The demands that several methods' settings share, and the model's settings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest

from jstyle.settings.fields import is_free
from jstyle.settings.model import ModelSettings
from jstyle.settings.vocabulary import (
    is_guided,
    require_at_least,
    require_count,
    require_finite,
    require_positive,
    require_seed,
    require_share,
    require_size,
    require_steps,
)


@pytest.mark.parametrize(
    ("demand", "message"),
    [
        (lambda: require_steps(0), "steps must be from 1 to 1000, not 0"),
        (lambda: require_steps(1001), "steps must be from 1 to 1000, not 1001"),
        (lambda: require_steps(1, least=2), "steps must be from 2 to 1000, not 1"),
        (lambda: require_seed(-1), "seed must not be negative, not -1"),
        (lambda: require_at_least(1, batch=1, window=0), "window must be at least 1, not 0"),
        (lambda: require_at_least(0, guidance=math.inf), "guidance must be at least 0, not inf"),
        (lambda: require_at_least(0, guidance=math.nan), "guidance must be at least 0, not nan"),
        (lambda: require_positive(rate=0.0), "rate must be positive, not 0.0"),
        (lambda: require_positive(rate=math.inf), "rate must be positive, not inf"),
        (lambda: require_positive(rate=math.nan), "rate must be positive, not nan"),
        (lambda: require_steps(10**9, name="class_steps"), "class_steps must be from 1 to 1000, not 1000000000"),
        (lambda: require_count(images=10**9), "images must be from 1 to 100000, not 1000000000"),
        (lambda: require_count(batch=1, images=0), "images must be from 1 to 100000, not 0"),
        (lambda: require_size(height=None, width=10**12), "width must be from 1 to 16384, not 1000000000000"),
        (lambda: require_size(width=0), "width must be from 1 to 16384, not 0"),
        (lambda: require_finite(guidance=math.nan), "guidance must be a finite number, not nan"),
        (lambda: require_finite(guidance=math.inf), "guidance must be a finite number, not inf"),
        (lambda: require_share(eta=1.1), "eta must be from 0 to 1, not 1.1"),
        (lambda: require_share(eta=math.nan), "eta must be from 0 to 1, not nan"),
    ],
)
def test_a_demand_that_does_not_hold_is_said(demand: Callable[[], None], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        demand()
    assert str(caught.value) == message


def test_bounds_and_null_are_allowed() -> None:
    for steps in (1, 1000):
        require_steps(steps)
    require_seed(0)
    require_at_least(1, batch=1, window=None)
    require_positive(rate=1e-300, clip=None)  # no subnormal number: Jittor has the processor flush them
    require_share(low=0.0, high=1.0)
    require_count(images=1, rows=100_000, batch=None)
    require_size(width=1, height=16384)
    require_finite(guidance=-1e300, scale=None)


def test_only_above_one_is_there_an_unconditional_half() -> None:
    assert [is_guided(guidance) for guidance in (-1.0, 0.0, 0.5, 1.0, 1.001, 7.5)] == [False] * 4 + [True] * 2


def test_the_weights_hash_stands_for_where_they_come_from() -> None:
    assert [field.name for field in dataclasses.fields(ModelSettings) if is_free(field)] == [
        "model",
        "revision",
        "variant",
        "vae_weights",
        "base_model",
        "prediction_type",  # for which the configuration stands
    ]
