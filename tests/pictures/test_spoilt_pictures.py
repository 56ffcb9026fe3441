"""A share of the spoilt pictures of `benchmarks.fuzz.pictures`: each is read, or refused in one line."""

from __future__ import annotations

from benchmarks.fuzz import pictures
from benchmarks.fuzz.trials import try_inputs

INPUTS = 150


def test_spoilt_pictures_are_read_or_refused_in_one_line() -> None:
    trials = try_inputs(pictures.draw, pictures.read, INPUTS, seed=1)
    assert trials.failures == []
    assert min(trials.read, trials.refused) > INPUTS // 10
