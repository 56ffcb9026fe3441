"""Random numbers that depend on the image's seed and on nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Optional, Union

import numpy as np

from jstyle.errors import InputError
from jstyle.networks.random_numbers import draw_seeded
from jstyle.runtime import jt

Seeds = Union[int, Sequence[int]]


def image_seeds(seed: Optional[Seeds], count: int) -> tuple[int, ...]:
    """A seed for each image: the list ``seed``, or seed, seed + 1, ..., or fresh ones where ``seed`` is None.

    Raises InputError for a list of another length, and for a seed that is negative or no whole number.
    """
    if seed is None:
        seeds: Sequence[int] = [secrets.randbits(32) for _ in range(count)]
    elif isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
        seeds = [int(seed) + i for i in range(count)]
    else:
        is_list = isinstance(seed, Iterable) and not isinstance(seed, (str, bytes))
        seeds = list(seed) if is_list else [seed]  # type: ignore[list-item]
    for value in seeds:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise InputError(f"a seed must be a whole number, not {value!r:.60}")
    if len(seeds) != count:
        raise InputError(f"{len(seeds)} seeds were given for {count} images; give one an image, or one for all")
    if min(seeds, default=0) < 0:
        raise InputError(f"a seed must not be negative, got {min(seeds)}")
    return tuple(int(value) for value in seeds)


def name_step(index: int) -> str:
    """The purpose of a sampling step's fresh noise."""
    return f"step {index}"


class NoiseSource:
    """Standard normal noise for a batch of images, row by row from each image's seed.

    A draw depends on the seed and on its purpose, not on earlier draws, on the other rows or on the
    device: an image keeps its noise in any batch, and options that draw more leave other draws as they are.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds = tuple(seeds)

    def normal(self, purpose: str, shape: Sequence[int]) -> jt.Var:
        """The noise for ``purpose``, (images, *shape) in fp32."""
        return draw_seeded(self.seeds, purpose, shape)
