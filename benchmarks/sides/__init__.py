"""The sides of the benchmarks: each does the same work with another engine, in a process of its own.

Each ``with_NAME.py`` has ``open_side(job)``, which loads what the job names:
``{"model": folder or None, "precision": "fp32" | "bf16", "threads": n}``. A case is
``{"name": ..., "work": "unet" | ..., "inputs": .npz file, ...}``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

Case = Mapping[str, Any]
Job = Mapping[str, Any]
Call = Callable[[], Any]

RATE, LORA_RANK = 1e-4, 4  # of trainings
WORD_SCALE = np.float32(0.03)  # of a learnt word's first vector, about as long as a real one


class Side(Protocol):
    """One engine with its networks loaded."""

    def describe(self) -> dict[str, str]:
        """Versions, and the settings that decide about speed."""
        ...

    def variants(self, case: Case) -> Sequence[str]:
        """The settings worth trying for a case; the lead keeps the fastest."""
        ...

    def prepare(self, case: Case, variant: str) -> Call:
        """What will be timed. It returns when its result is computed."""
        ...

    def arrays(self, result: Any) -> dict[str, np.ndarray]:
        """A call's result, to compare the sides by."""
        ...


def inputs(case: Case) -> dict[str, np.ndarray]:
    """The arrays that the lead made for a case."""
    with np.load(case["inputs"]) as stored:
        return {name: stored[name] for name in stored.files}


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A parameter's first values, by its name alone."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return rng.standard_normal(shape, np.float32) / np.float32(shape[0])
