"""Products with weights: linear maps and convolutions."""

from __future__ import annotations

from typing import Optional

from jstyle.ops import reference
from jstyle.ops.activations import geglu
from jstyle.ops.kernels.operator import compute
from jstyle.runtime import jt


def linear(x: jt.Var, weight: jt.Var, bias: Optional[jt.Var] = None, *, residual: Optional[jt.Var] = None) -> jt.Var:
    """x W^T + b + residual over the last axis.

    x is (..., in); weight is (out, in), or (out, in, 1, 1) as a 1x1 convolution stores it; ``residual`` has the
    shape of the result.
    """
    return compute("linear", reference.linear, [x, weight, bias, residual])


def linear_geglu(x: jt.Var, weight: jt.Var, bias: Optional[jt.Var] = None) -> jt.Var:
    """``geglu(linear(x, weight, bias))``: x is (..., in), weight (2c, in), the result (..., c)."""
    if jt.flags.no_grad:
        return compute("linear_geglu", reference.linear_geglu, [x, weight, bias])
    return geglu(linear(x, weight, bias))


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
    sides = zip(("height", "width"), x.shape[1:3], weight.shape[2:4])  # fewer where a rank is wrong: refused as such
    size = {name: (side + sum(padding) - kernel) // stride + 1 for name, side, kernel in sides}
    inputs = [x, weight, bias, residual]
    return compute("conv2d", reference.conv2d, inputs, stride=stride, padding=padding[0], **size)
