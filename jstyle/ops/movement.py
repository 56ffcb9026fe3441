"""Sums, joins, and changes of size, layout and dtype."""

from __future__ import annotations

from typing import Optional

from jstyle.ops import reference
from jstyle.ops.kernels.operator import FLOATS, call, check, compute, usable
from jstyle.ops.signatures import TYPES
from jstyle.runtime import jt


def add(a: jt.Var, b: jt.Var) -> jt.Var:
    """a + b, both of one shape."""
    return compute("add", reference.add, [a, b])


def concat_channels(a: jt.Var, b: jt.Var) -> jt.Var:
    """(..., c1) and (..., c2) side by side, (..., c1 + c2)."""
    return compute("concat_channels", reference.concat_channels, [a, b])


def upsample_nearest(x: jt.Var, height: int, width: int) -> jt.Var:
    """Double (batch, h, w, c) by repetition and crop to (batch, height, width, c).

    The size is that of the skip connection that joins next: 2h or 2h - 1, and likewise for w. Cropping the
    doubled map gives exactly what nearest interpolation to that size gives.
    """
    return compute("upsample_nearest", reference.upsample_nearest, [x], height=height, width=width)


def channels_last(x: jt.Var, dtype: Optional[str] = None) -> jt.Var:
    """(batch, channels, height, width) -> (batch, height, width, channels), in ``dtype`` if given."""
    return _transpose("channels_last", x, (0, 2, 3, 1), dtype or str(x.dtype))


def channels_first(x: jt.Var, dtype: Optional[str] = None) -> jt.Var:
    """(batch, height, width, channels) -> (batch, channels, height, width), in ``dtype`` if given."""
    return _transpose("channels_first", x, (0, 3, 1, 2), dtype or str(x.dtype))


def cast(x: jt.Var, dtype: str) -> jt.Var:
    """x in another dtype, rounded to nearest; Jittor's own cast to bf16 truncates."""
    if str(x.dtype) == dtype:
        return x
    return call("cast", [x], to=TYPES[dtype])[0] if usable(x) and dtype in FLOATS else x.cast(dtype)


def _transpose(kernel: str, x: jt.Var, axes: tuple[int, ...], dtype: str) -> jt.Var:
    """x with its axes in this order, in ``dtype``, by a kernel or by plain Jittor."""
    if usable(x) and dtype in FLOATS:
        return call(kernel, [x], to=TYPES[dtype])[0]
    check(kernel, [x], to=TYPES["float32"])  # plain Jittor casts to other types, too
    return x.transpose(*axes).cast(dtype)
