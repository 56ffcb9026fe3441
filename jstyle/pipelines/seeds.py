"""The seed of each image of a call, from a seed or from whatever is handed in as a generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from jstyle.diffusion.noise import Seeds
from jstyle.errors import InputError
from jstyle.networks.random_numbers import read_seed
from jstyle.pipelines.texts import Prompt, count_images

_RANGE = 2**32


def choose_seeds(seed: Optional[Seeds], generator: Any, prompt: Prompt, copies: int) -> Optional[Seeds]:
    """``seed``, or where it is None, what ``generator`` says; None where it is None too.

    NumPy's Generator and RandomState draw a seed for each image. A number, and what has ``initial_seed()`` or a number
    as ``seed``, as generators of other libraries do, is a seed itself: it does not move on from call to call. A list
    has one of these for each image. Raises InputError for anything else, and where both are given.
    """
    if seed is not None and generator is not None:
        raise InputError("give seed or generator, not both")
    if seed is not None or generator is None:
        return seed
    count = count_images(prompt, copies)
    if isinstance(generator, (list, tuple)):
        if len(generator) != count:
            raise InputError(f"{len(generator)} generators were given for {count} images; give one, or one an image")
        return [_draw_seed(one) for one in generator]
    drawn = _draw_many(generator, count)
    return read_seed(generator) if drawn is None else drawn


def _draw_many(generator: Any, count: int) -> Optional[list[int]]:
    """A seed for each image from a generator of NumPy's; None for another."""
    if isinstance(generator, np.random.Generator):
        return [int(number) for number in generator.integers(_RANGE, size=count)]
    if isinstance(generator, np.random.RandomState):
        return [int(number) for number in generator.randint(_RANGE, size=count, dtype=np.uint64)]
    return None


def _draw_seed(generator: Any) -> int:
    drawn: Optional[Sequence[int]] = _draw_many(generator, 1)
    return read_seed(generator) if drawn is None else drawn[0]
