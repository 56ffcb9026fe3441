"""Standard normal noise from whatever a caller draws random numbers with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jstyle.errors import InputError
from jstyle.runtime import jt


def draw_normal(generator: Any, shape: Sequence[int]) -> jt.Var:
    """Standard normal noise of ``shape`` in fp32, the next of ``generator``.

    None draws from Jittor's own numbers, which ``jt.set_global_seed`` repeats; a NumPy ``Generator`` or ``RandomState``
    from its own; a list has one for each row. None of them gives PyTorch's numbers. Raises InputError for anything
    else, and for a list of another length.
    """
    if generator is None:
        return jt.randn(tuple(shape))
    if isinstance(generator, (list, tuple)):
        if len(generator) != shape[0]:
            raise InputError(f"{len(generator)} generators were given for {shape[0]} rows; give one for each, or one")
        return jt.concat([draw_normal(each, (1, *shape[1:])) for each in generator], dim=0)
    if isinstance(generator, (np.random.Generator, np.random.RandomState)):
        return jt.array(np.float32(generator.standard_normal(tuple(shape))))
    kind = type(generator).__name__
    raise InputError(f"a generator must be NumPy's, such as np.random.default_rng(0), or a list of them, not {kind}")
