"""Pointwise nonlinearities."""

from __future__ import annotations

from jstyle.ops import reference
from jstyle.ops.kernels.operator import compute
from jstyle.runtime import jt


def silu(x: jt.Var) -> jt.Var:
    """x * sigmoid(x) (arXiv 1702.03118), any shape."""
    return compute("silu", reference.silu, [x])


def gelu(x: jt.Var) -> jt.Var:
    """The exact GELU, x * Phi(x) (arXiv 1606.08415), any shape."""
    return compute("gelu", reference.gelu, [x])


def quick_gelu(x: jt.Var) -> jt.Var:
    """x * sigmoid(1.702 x), the approximation with which OpenAI's CLIP was trained, any shape."""
    return compute("quick_gelu", reference.quick_gelu, [x])


def geglu(x: jt.Var) -> jt.Var:
    """Split (..., 2c) into a value and a gate and return value * gelu(gate), (..., c) (arXiv 2002.05202)."""
    return compute("geglu", reference.geglu, [x])
