"""Products with weights: linear maps and convolutions."""

from __future__ import annotations

from typing import Optional

from jstyle.ops import reference
from jstyle.ops.kernels.operator import call, usable
from jstyle.runtime import jt


def linear(x: jt.Var, weight: jt.Var, bias: Optional[jt.Var] = None, *, residual: Optional[jt.Var] = None) -> jt.Var:
    """x W^T + b + residual over the last axis.

    x is (..., in); weight is (out, in), or (out, in, 1, 1) as a 1x1 convolution stores it; ``residual`` has the
    shape of the result.
    """
    if not usable(x, weight, bias, residual):
        return reference.linear(x, weight, bias, residual)
    return call("linear", [x, weight, bias, residual], [[*x.shape[:-1], weight.shape[0]]])[0]


def linear_geglu(x: jt.Var, weight: jt.Var, bias: jt.Var) -> jt.Var:
    """``geglu(linear(x, weight, bias))``: x is (..., in), weight (2c, in), the result (..., c)."""
    if not usable(x, weight, bias):
        return reference.geglu(reference.linear(x, weight, bias, None))
    if jt.flags.no_grad:
        return call("linear_geglu", [x, weight, bias], [[*x.shape[:-1], weight.shape[0] // 2]])[0]
    wide = call("linear", [x, weight, bias, None], [[*x.shape[:-1], weight.shape[0]]])[0]
    return call("geglu", [wide], [[*x.shape[:-1], weight.shape[0] // 2]])[0]


def conv2d(
    x: jt.Var,
    weight: jt.Var,
    bias: Optional[jt.Var],
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    *,
    residual: Optional[jt.Var] = None,
) -> jt.Var:
    """Two-dimensional cross-correlation, plus ``residual``.

    x is (batch, height, width, in), weight (out, in, kernel_h, kernel_w), the result (batch, height', width', out),
    as is ``residual``. ``padding`` counts the zeros before (at the top and left) and after (at the bottom and right).
    """
    size = tuple((n + sum(padding) - kernel) // stride + 1 for n, kernel in zip(x.shape[1:3], weight.shape[2:]))
    if not usable(x, weight, bias, residual):
        return reference.conv2d(x, weight, bias, residual, stride, padding[0], (size[0], size[1]))
    shape = [x.shape[0], *size, weight.shape[0]]
    return call("conv2d", [x, weight, bias, residual], [shape], stride=stride, padding=padding[0])[0]
