"""A share of the spoilt files on which `benchmarks.fuzz` tries the readers: each is read, or refused in one line."""

from __future__ import annotations

from types import ModuleType

import pytest

from benchmarks.fuzz import configs, kinds, lora, model_json, prompts_json, recipes, single_file, words
from benchmarks.fuzz.trials import try_inputs


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        (prompts_json, 150),
        (recipes, 100),
        (configs, 100),
        (model_json, 100),
        (lora, 200),
        (kinds, 200),
        (words, 200),
        (single_file, 100),
    ],
)
def test_a_spoilt_file_is_read_or_refused_in_one_line(kind: ModuleType, inputs: int) -> None:
    trials = try_inputs(kind.draw, kind.read, inputs)
    assert not trials.failures
    assert trials.read and trials.refused
