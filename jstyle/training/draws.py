"""Random numbers that depend on (seed, step, purpose) and on nothing before, so that a resumed run draws the same."""

from __future__ import annotations

import zlib

import numpy as np


def make_generator(seed: int, step: int, purpose: str) -> np.random.Generator:
    """A fresh generator for one purpose at one step."""
    return np.random.default_rng([seed, step, zlib.crc32(purpose.encode())])
