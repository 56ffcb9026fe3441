"""Scaled dot-product attention, with all that editors of attention may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from jstyle.ops import reference
from jstyle.ops.kernels.operator import call, check, usable
from jstyle.runtime import jt


@dataclass(frozen=True)
class KeyValue:
    """A second set of keys and values that every query attends to besides its own.

    k and v are (batch or 1, keys, heads, head_dim). Attending to both sets is the same as merging the two
    attentions by log-sum-exp; ``shift`` is first added to this set's logits.
    """

    k: jt.Var
    v: jt.Var
    shift: float = 0.0


def attention(
    q: jt.Var,
    k: jt.Var,
    v: jt.Var,
    *,
    bias: Optional[jt.Var] = None,
    shared: Optional[KeyValue] = None,
    temperature: float = 1.0,
    upcast: bool = False,
) -> jt.Var:
    """softmax(temperature * q k^T / sqrt(head_dim) + bias) v (arXiv 1706.03762, equation 1).

    q is (batch, queries, heads, head_dim), k and v (batch or 1, keys, heads, head_dim), the order in which
    a projection leaves them; with 1 in place of batch, one set of keys serves all rows. ``bias`` broadcasts to
    (batch, heads, queries, keys) and applies to ``k``, not to ``shared``. ``upcast`` computes the logits in fp32
    whatever the inputs are; the fused kernel always does. Returns (batch, queries, heads, head_dim).
    """
    shared_k, shared_v = (None, None) if shared is None else (shared.k, shared.v)
    shift = 0.0 if shared is None else shared.shift
    scale = temperature * (q.shape[-1] or 1) ** -0.5
    inputs = [q, k, v, bias, shared_k, shared_v]
    if usable(*inputs):
        return call("attention", inputs, scale=scale, shift=shift, joint=1)[0]
    check("attention", inputs, scale=scale, shift=shift)
    return reference.attention(*inputs, scale=scale, shift=shift, upcast=upcast)
