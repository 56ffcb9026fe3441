"""Arrays that a call is given."""

from __future__ import annotations

from typing import Any, Union

import numpy as np

from jstyle import ops
from jstyle.networks.entry import read_numbers, require_finite
from jstyle.runtime import jt

Array = Union[np.ndarray, jt.Var]


def read_var(given: Any, name: str) -> jt.Var:
    """The numbers of an argument ``name``, NumPy's, Jittor's or a list, in fp32.

    Raises InputError for others, and where one of them is NaN or infinite.
    """
    numbers = ops.cast(read_numbers("pipeline", name, given), "float32")
    numbers.sync(True, False)  # alone: what else is pending would be cut in other pieces, which round otherwise
    require_finite(numbers.numpy(), name)
    return numbers
