"""Products with weights: linear maps and convolutions."""

from __future__ import annotations

from typing import Optional

from jstyle.runtime import jt


def linear(x: jt.Var, weight: jt.Var, bias: Optional[jt.Var] = None) -> jt.Var:
    """x W^T + b over the last axis.

    x is (..., in); weight is (out, in), or (out, in, 1, 1) as a 1x1 convolution stores it.
    """
    out_features, in_features = weight.shape[:2]
    rows = jt.nn.matmul_transpose(x.reshape(-1, in_features), weight.reshape(out_features, in_features))
    if bias is not None:
        rows = rows + bias
    return rows.reshape([*x.shape[:-1], out_features])


def conv2d(x: jt.Var, weight: jt.Var, bias: Optional[jt.Var], stride: int = 1, padding: int = 0) -> jt.Var:
    """Two-dimensional cross-correlation.

    x is (batch, height, width, in) and weight (out, in, kernel_h, kernel_w). Written as the product
    and sum that Jittor's tuner recognises in this layout, so it runs on oneDNN or cuDNN without a transpose.
    """
    b, h, w, c = x.shape
    out_channels, _, kernel_h, kernel_w = weight.shape
    out_h = (h + 2 * padding - kernel_h) // stride + 1
    out_w = (w + 2 * padding - kernel_w) // stride + 1
    patches = x.reindex(
        [b, out_h, out_w, out_channels, c, kernel_h, kernel_w],
        ["i0", f"i1*{stride}-{padding}+i5", f"i2*{stride}-{padding}+i6", "i4"],
    )
    out = (patches * weight.broadcast(patches.shape, [0, 1, 2])).sum([4, 5, 6])
    return out if bias is None else out + bias
