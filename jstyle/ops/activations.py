"""Pointwise nonlinearities."""

from __future__ import annotations

from jstyle.runtime import jt


def silu(x: jt.Var) -> jt.Var:
    """x * sigmoid(x) (arXiv 1702.03118), any shape."""
    return x * jt.sigmoid(x)


def gelu(x: jt.Var) -> jt.Var:
    """The exact GELU, x * Phi(x) (arXiv 1606.08415), any shape."""
    return x * 0.5 * (1.0 + jt.erf(x * (0.5**0.5)))


def quick_gelu(x: jt.Var) -> jt.Var:
    """x * sigmoid(1.702 x), the approximation that OpenAI's CLIP was trained with, any shape."""
    return x * jt.sigmoid(x * 1.702)


def geglu(x: jt.Var) -> jt.Var:
    """Split (..., 2c) into a value and a gate and return value * gelu(gate), (..., c) (arXiv 2002.05202)."""
    half = x.shape[-1] // 2
    return x[..., :half] * gelu(x[..., half:])
