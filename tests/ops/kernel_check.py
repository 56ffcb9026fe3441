"""What the tests of single kernels share: inputs, float64 truth of rounded inputs, errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import ml_dtypes
import numpy as np

from jstyle.ops.kernels import library

F32 = np.dtype(np.float32)
BF16 = np.dtype(ml_dtypes.bfloat16)
BF16_ROUNDING = 2.0**-8  # half a unit in the last of 8 places


def normal(rng: np.random.Generator, *shape: int, dtype: np.dtype = F32, mean: float = 0.0) -> np.ndarray:
    return (rng.standard_normal(shape) + mean).astype(np.float32).astype(dtype)


def run_one(
    kernel: str, inputs: Sequence[Optional[np.ndarray]], shape: tuple[int, ...], dtype: np.dtype = F32, **numbers: float
) -> np.ndarray:
    """The single output of a kernel; its memory held NaN before, so that every element must be written."""
    out = np.full(shape, np.nan, dtype)
    library.run(kernel, inputs, [out], **numbers)
    return out


def run_backward(
    kernel: str,
    inputs: Sequence[Optional[np.ndarray]],
    out: np.ndarray,
    gradient: Optional[np.ndarray],
    wanted: Optional[Sequence[bool]] = None,
    **numbers: float,
) -> tuple[Optional[np.ndarray], ...]:
    """The gradients of the present, wanted inputs."""
    wanted = wanted or [True] * len(inputs)
    gradients = [np.full(x.shape, np.nan, x.dtype) if w and x is not None else None for x, w in zip(inputs, wanted)]
    library.run(f"{kernel}_backward", [*inputs, out, gradient], gradients, **numbers)
    return tuple(gradients)


def relative_error(value: Optional[np.ndarray], truth: np.ndarray, scale: float = 0.0) -> float:
    """The largest error beyond the type's own rounding, as a part of the largest true value (at least of scale)."""
    assert value is not None and value.shape == truth.shape
    rounding = BF16_ROUNDING * np.abs(truth) if value.dtype == BF16 else 0.0
    error = np.abs(value.astype(np.float64) - truth) - rounding
    return float(error.max() / max(np.abs(truth).max(), scale, 1e-30))
