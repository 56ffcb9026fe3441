"""Random numbers that depend on an image's own seed and on nothing else."""

from __future__ import annotations

import secrets
import zlib
from typing import Optional, Sequence, Tuple, Union

import numpy as np

from jstyle.errors import InputError
from jstyle.runtime import jt

Seeds = Union[int, Sequence[int]]


def image_seeds(seed: Optional[Seeds], count: int) -> Tuple[int, ...]:
    """One seed an image: the given list, or seed, seed + 1, ..., or fresh ones where ``seed`` is None.

    Raises InputError for a list of another length or a negative seed.
    """
    if seed is None:
        seeds: Sequence[int] = [secrets.randbits(32) for _ in range(count)]
    elif isinstance(seed, (int, np.integer)):
        seeds = [int(seed) + i for i in range(count)]
    else:
        seeds = [int(one) for one in seed]
    if len(seeds) != count:
        raise InputError(f"{len(seeds)} seeds were given for {count} images; give one an image, or one for all")
    if min(seeds, default=0) < 0:
        raise InputError(f"a seed must not be negative, got {min(seeds)}")
    return tuple(seeds)


class NoiseSource:
    """Standard normal noise for a batch of images, row by row from each image's seed.

    A draw depends on the seed and on what it is for, not on earlier draws, on the other rows or on the
    device: an image keeps its noise in any batch, and options that draw more do not shift the rest.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds = tuple(seeds)

    def normal(self, purpose: str, shape: Sequence[int]) -> jt.Var:
        """(images, *shape) in fp32."""
        key = zlib.crc32(purpose.encode())
        rows = [np.random.default_rng([seed, key]).standard_normal(tuple(shape), np.float32) for seed in self.seeds]
        return jt.array(np.stack(rows))
