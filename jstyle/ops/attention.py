"""Scaled dot-product attention with what the editors of attention may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from jstyle.runtime import jt

# The logits of one slice of queries stay under this many numbers (256 MB in fp32).
MAX_LOGITS = 1 << 26


@dataclass(frozen=True)
class KeyValue:
    """A second set of keys and values that every query attends to beside its own.

    k and v are (batch, keys, heads, head_dim). Attending to both sets is the same as merging the two
    attentions by log-sum-exp; ``shift`` is added to this set's logits first.
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
    upcast: bool = False,
) -> jt.Var:
    """softmax(q k^T / sqrt(head_dim) + bias) v (arXiv 1706.03762, equation 1).

    q is (batch, queries, heads, head_dim), k and v (batch, keys, heads, head_dim), the order in which
    a projection leaves them. ``bias`` broadcasts to (batch, heads, queries, keys) and belongs to ``k``.
    ``upcast`` takes the logits in fp32 whatever the inputs are. Returns (batch, queries, heads, head_dim).
    """
    heads_first = [_heads_first(x) for x in (q, k, v)]
    extra = None if shared is None else (_heads_first(shared.k), _heads_first(shared.v), shared.shift)
    queries, keys = q.shape[1], k.shape[1] + (0 if shared is None else shared.k.shape[1])
    step = max(1, MAX_LOGITS // (q.shape[0] * q.shape[2] * keys))
    slices = []
    for start in range(0, queries, step):
        stop = min(start + step, queries)
        part = heads_first[0] if stop - start == queries else heads_first[0][:, :, start:stop]
        part_bias = bias[:, :, start:stop] if bias is not None and bias.shape[2] == queries else bias
        slices.append(_slice(part, heads_first[1], heads_first[2], part_bias, extra, upcast))
        if step < queries:
            slices[-1].sync()  # frees this slice's logits before the next slice's are made
    out = slices[0] if len(slices) == 1 else jt.concat(slices, dim=2)
    return out.transpose(0, 2, 1, 3)


def _heads_first(x: jt.Var) -> jt.Var:
    return x.transpose(0, 2, 1, 3)


def _slice(q, k, v, bias, extra, upcast) -> jt.Var:
    dtype = q.dtype
    if upcast:
        q, k = q.float32(), k.float32()
    q = q * (q.shape[-1] ** -0.5)
    logits = jt.matmul(q, k.transpose(0, 1, 3, 2)).float32()
    if bias is not None:
        logits = logits + bias
    if extra is not None:
        extra_k, extra_v, shift = extra
        extra_logits = jt.matmul(q, extra_k.cast(q.dtype).transpose(0, 1, 3, 2)).float32() + shift
        logits = jt.concat([logits, extra_logits], dim=-1)
        v = jt.concat([v, extra_v], dim=2)
    return jt.matmul(jt.nn.softmax(logits, dim=-1).cast(dtype), v)
