"""Standard normal noise from whatever a caller draws random numbers with."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from jstyle.errors import InputError
from jstyle.runtime import jt
from jstyle.settings.leaves import unwrap_numpy

KINDS = "a number, NumPy's Generator or RandomState, an object with initial_seed(), or a list of these"
"""What a generator may be."""


def draw_seeded(seeds: Sequence[int], purpose: str, shape: Sequence[int]) -> jt.Var:
    """The noise of each seed for ``purpose``, (seeds, *shape) in fp32: of two purposes it is not the same."""
    key = zlib.crc32(purpose.encode())
    rows = [np.random.default_rng([seed, key]).standard_normal(tuple(shape), np.float32) for seed in seeds]
    return jt.array(np.stack(rows))


def draw_normal(generator: Any, shape: Sequence[int], purpose: str) -> jt.Var:
    """Standard normal noise of ``shape`` in fp32, the next of ``generator``.

    None draws from Jittor's own numbers, which ``jt.set_global_seed`` repeats; a NumPy ``Generator`` or ``RandomState``
    from its own; a list has one for each row. A seed (`read_seed`) does not move on: row i has the noise of seed + i
    for ``purpose``, as a pipeline's call has it. None of them gives PyTorch's numbers. Raises InputError for anything
    else, and for a list of another length.
    """
    if generator is None:
        return jt.randn(tuple(shape))
    if isinstance(generator, (list, tuple)):
        if len(generator) != shape[0]:
            raise InputError(f"{len(generator)} generators were given for {shape[0]} rows; give one for each, or one")
        return jt.concat([draw_normal(each, (1, *shape[1:]), purpose) for each in generator], dim=0)
    if isinstance(generator, (np.random.Generator, np.random.RandomState)):
        return jt.array(np.float32(generator.standard_normal(tuple(shape))))
    first = read_seed(generator)
    return draw_seeded([first + row for row in range(shape[0])], purpose, shape[1:])


def read_seed(generator: Any) -> int:
    """The seed that a number is, or that another library's generator says it began with.

    Raises InputError for what is none, and for a negative one.
    """
    ask = getattr(generator, "initial_seed", None)
    seed = unwrap_numpy(ask() if callable(ask) else getattr(generator, "seed", generator))
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise InputError(f"generator must be {KINDS}, not {type(generator).__name__}")
    if seed < 0:
        raise InputError(f"generator must be {KINDS}, and a seed not negative: {seed}")
    return seed
