"""Normalisations, with what directly precedes and follows them in the networks."""

from __future__ import annotations

from typing import Optional

from jstyle.ops import reference
from jstyle.ops.kernels.operator import call, usable
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
    if not usable(x, weight, bias, shift):
        return reference.group_norm(x, groups, weight, bias, eps, shift, silu)
    return call("group_norm", [x, weight, bias, shift], [x.shape], groups=groups, eps=eps, silu=silu)[0]


def layer_norm(x: jt.Var, weight: jt.Var, bias: jt.Var, eps: float) -> jt.Var:
    """Normalise over the last axis (arXiv 1607.06450). x is (..., channels)."""
    if not usable(x, weight, bias):
        return reference.layer_norm(x, weight, bias, eps)
    return call("layer_norm", [x, weight, bias], [x.shape], eps=eps)[0]
