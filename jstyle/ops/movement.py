"""Sums, joins, and changes of size, layout and dtype."""

from __future__ import annotations

from typing import Optional

from jstyle.ops import reference
from jstyle.ops.kernels.operator import FLOATS, call, usable
from jstyle.runtime import jt


def add(a: jt.Var, b: jt.Var) -> jt.Var:
    """a + b, both of one shape."""
    return call("add", [a, b], [a.shape])[0] if usable(a, b) else a + b


def concat_channels(a: jt.Var, b: jt.Var) -> jt.Var:
    """(..., c1) and (..., c2) side by side, (..., c1 + c2)."""
    if not usable(a, b):
        return jt.concat([a, b], dim=len(a.shape) - 1)
    return call("concat_channels", [a, b], [[*a.shape[:-1], a.shape[-1] + b.shape[-1]]])[0]


def upsample_nearest(x: jt.Var, height: int, width: int) -> jt.Var:
    """Double (batch, h, w, c) by repetition and crop to (batch, height, width, c).

    The size is that of the skip connection that joins next: 2h or 2h - 1, and likewise for w. Cropping the
    doubled map gives exactly what nearest interpolation to that size gives.
    """
    if not usable(x):
        return reference.upsample_nearest(x, height, width)
    return call("upsample_nearest", [x], [[x.shape[0], height, width, x.shape[3]]])[0]


def channels_last(x: jt.Var, dtype: Optional[str] = None) -> jt.Var:
    """(batch, channels, height, width) -> (batch, height, width, channels), in ``dtype`` if given."""
    if not usable(x) or (dtype or FLOATS[0]) not in FLOATS:
        return x.transpose(0, 2, 3, 1).cast(dtype or x.dtype)
    b, c, h, w = x.shape
    return call("channels_last", [x], [[b, h, w, c]], [dtype or str(x.dtype)])[0]


def channels_first(x: jt.Var, dtype: Optional[str] = None) -> jt.Var:
    """(batch, height, width, channels) -> (batch, channels, height, width), in ``dtype`` if given."""
    if not usable(x):
        return x.transpose(0, 3, 1, 2).cast(dtype or x.dtype)
    b, h, w, c = x.shape
    return call("channels_first", [x], [[b, c, h, w]], [dtype or str(x.dtype)])[0]


def cast(x: jt.Var, dtype: str) -> jt.Var:
    """x in another dtype, rounded to nearest; Jittor's own cast to bf16 truncates."""
    if str(x.dtype) == dtype:
        return x
    return call("cast", [x], [x.shape], [dtype])[0] if usable(x) and dtype in FLOATS else x.cast(dtype)
