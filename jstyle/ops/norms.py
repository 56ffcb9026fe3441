"""Normalisations, with what directly precedes and follows them in the networks."""

from __future__ import annotations

from typing import Optional

from jstyle.ops import reference
from jstyle.ops.kernels.operator import compute
from jstyle.runtime import jt


def group_norm(
    x: jt.Var,
    groups: int,
    weight: jt.Var,
    bias: jt.Var,
    eps: float,
    *,
    shift: Optional[jt.Var] = None,
    silu: bool = False,
) -> jt.Var:
    """Normalise each group of channels over space (arXiv 1803.08494).

    x is (batch, height, width, channels); weight and bias are (channels,). ``shift``, (batch, channels), is
    added to x first; ``silu`` applies that activation last.
    """
    return compute("group_norm", reference.group_norm, [x, weight, bias, shift], groups=groups, eps=eps, silu=silu)


def layer_norm(x: jt.Var, weight: jt.Var, bias: jt.Var, eps: float) -> jt.Var:
    """Normalise over the last axis (arXiv 1607.06450). x is (..., channels)."""
    return compute("layer_norm", reference.layer_norm, [x, weight, bias], eps=eps)
