"""The kernel library for Python: NumPy arrays in, NumPy arrays out, no Jittor.

Tests and benchmarks of single kernels use it; the networks go through the Jittor operator.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Optional

import ml_dtypes
import numpy as np

from jstyle.ops.kernels import build

TYPES = {np.dtype(np.float32): 1, np.dtype(ml_dtypes.bfloat16): 2}
MOST_AXES = 8


class Tensor(ctypes.Structure):
    """``JstyleTensor`` of ``kernel.h``."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("type", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.c_int64 * 8),
    ]


@lru_cache(maxsize=None)
def load() -> ctypes.CDLL:
    """The library, its symbols visible to all that is loaded later. Raises BuildError where it cannot be had."""
    return ctypes.CDLL(str(build.library()), mode=ctypes.RTLD_GLOBAL)


def set_threads(threads: int) -> None:
    """Set how many threads the kernels use from now on, in the whole process."""
    load().jstyle_set_threads(threads)


def run(
    kernel: str, inputs: Sequence[Optional[np.ndarray]], outputs: Sequence[Optional[np.ndarray]], **attributes: float
) -> None:
    """Run a kernel on contiguous arrays, writing ``outputs``; None stands for an absent input or an unwanted output.

    Raises ValueError with the kernel's message where it refuses them.
    """
    message = ctypes.create_string_buffer(1000)
    failed = load().jstyle_run(
        kernel.encode(),
        (Tensor * len(inputs))(*map(_describe, inputs)),
        len(inputs),
        (Tensor * len(outputs))(*map(_describe, outputs)),
        len(outputs),
        (ctypes.c_char_p * len(attributes))(*(name.encode() for name in attributes)),
        (ctypes.c_double * len(attributes))(*attributes.values()),
        len(attributes),
        message,
        len(message),
    )
    if failed:
        raise ValueError(message.value.decode())


def _describe(array: Optional[np.ndarray]) -> Tensor:
    if array is None:
        return Tensor()
    if not array.flags.c_contiguous:
        raise ValueError("kernels take contiguous arrays")
    if array.dtype not in TYPES:
        raise ValueError(f"kernels take float32 and bfloat16, not {array.dtype}")
    if array.ndim > MOST_AXES:
        raise ValueError(f"kernels take arrays of at most {MOST_AXES} axes, not {array.ndim}")
    return Tensor(array.ctypes.data, TYPES[array.dtype], array.ndim, (ctypes.c_int64 * 8)(*array.shape))
