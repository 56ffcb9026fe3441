"""Normalisations. The variance is taken in a second pass: one pass loses all digits of a large mean."""

from __future__ import annotations

from jstyle.runtime import jt


def group_norm(x: jt.Var, groups: int, weight: jt.Var, bias: jt.Var, eps: float) -> jt.Var:
    """Normalise each group of channels over space (arXiv 1803.08494).

    x is (batch, height, width, channels); weight and bias are (channels,).
    """
    b, h, w, c = x.shape
    grouped = x.reshape(b, h * w, groups, c // groups)
    centred = grouped - grouped.mean(dims=(1, 3), keepdims=True)
    variance = (centred * centred).mean(dims=(1, 3), keepdims=True)
    normed = (centred / jt.sqrt(variance + eps)).reshape(b, h, w, c)
    return normed * weight + bias


def layer_norm(x: jt.Var, weight: jt.Var, bias: jt.Var, eps: float) -> jt.Var:
    """Normalise over the last axis (arXiv 1607.06450). x is (..., channels)."""
    centred = x - x.mean(dim=-1, keepdims=True)
    variance = (centred * centred).mean(dim=-1, keepdims=True)
    return centred / jt.sqrt(variance + eps) * weight + bias
