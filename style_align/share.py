"""The editors by which targets attend to a reference (arXiv 2312.02133, equations 2 to 4)."""

from __future__ import annotations

from dataclasses import replace
from typing import FrozenSet, List, Optional, Sequence

import numpy as np

from jstyle import ops
from jstyle.errors import InputError
from jstyle.networks.editing import QKV, Editable, Site, self_attention
from jstyle.ops import KeyValue
from jstyle.runtime import jt
from style_align.features import EPS, Plan, Statistics
from style_align.norms import each_row
from style_align.settings import Sharing


class ShareAttention:
    """Give targets the reference's statistics, and its keys and values beside their own.

    The batch is targets alone, in as many halves as the reference was recorded in.
    """

    def __init__(self, plan: Plan, sharing: Sharing) -> None:
        self._plan = plan
        self._amount = min(sharing.style_strength, 1.0)

    def __call__(self, site: Site, step: int, qkv: QKV) -> QKV:
        given = self._plan.sites[site.path]
        rows = qkv.q.shape[0]
        changed = {
            part: adain(each_row(getattr(qkv, part), rows), statistics, self._amount)
            for part, statistics in given.statistics.items()
        }
        return attend_also(replace(qkv, **changed), given.sets)


class ShareEverything:
    """Let all pictures of each half attend to each other: their tokens become one sequence."""

    def __init__(self, halves: int) -> None:
        self._halves = halves

    def __call__(self, site: Site, step: int, qkv: QKV) -> QKV:
        if qkv.bias is not None or qkv.shared is not None:
            raise InputError("full attention sharing goes with no other editor that adds keys or a bias")
        rows = qkv.q.shape[0]
        joined = [each_row(x, rows).reshape(self._halves, -1, *x.shape[2:]) for x in (qkv.q, qkv.k, qkv.v)]
        return replace(qkv, q=joined[0], k=joined[1], v=joined[2])


def adain(x: jt.Var, statistics: Statistics, amount: float = 1.0) -> jt.Var:
    """Give x (rows, tokens, heads, head_dim) the mean and deviation over tokens of ``statistics``.

    A channel's norm over tokens is a group norm with one channel a group, of biased variance: with n tokens,
    (x - mean) / sqrt(n / (n - 1) variance + eps) = sqrt((n - 1) / n) (x - mean) / sqrt(variance + (n - 1) / n eps).
    ``amount`` 0 leaves x, 1 replaces its statistics.
    """
    rows, tokens, heads, head_dim = x.shape
    channels = heads * head_dim
    share = max(tokens - 1, 1) / tokens
    wide = ops.cast(x, "float32")
    unit = ops.group_norm(
        wide.reshape(rows, tokens, 1, channels), channels, jt.ones([channels]), jt.zeros([channels]), share * EPS
    ).reshape(x.shape)
    mean, deviation = (each_row(one, rows) for one in statistics)
    out = unit * (deviation * share**0.5) + mean
    if amount != 1.0:
        out = wide + (out - wide) * amount
    return ops.cast(out, str(x.dtype))


def attend_also(qkv: QKV, sets: Sequence[KeyValue]) -> QKV:
    """Let the queries attend to more sets of keys and values, beside whatever another editor has added.

    One set goes where attention takes a second set. Of several the others are appended to the keys, and what is
    to be added to their logits becomes a bias.
    """
    several: List[KeyValue] = [*([qkv.shared] if qkv.shared is not None else []), *sets]
    if not several:
        return qkv
    *appended, last = several
    rows = qkv.q.shape[0]
    if appended:
        k = jt.concat([each_row(qkv.k, rows), *(each_row(one.k, rows) for one in appended)], dim=1)
        v = jt.concat([each_row(qkv.v, rows), *(each_row(one.v, rows) for one in appended)], dim=1)
        qkv = replace(qkv, k=k, v=v, bias=_extended(qkv.bias, qkv.k.shape[1], appended))
    ready = [x if x.shape[0] == 1 else each_row(x, rows) for x in (last.k, last.v)]
    return replace(qkv, shared=KeyValue(ready[0], ready[1], last.shift))


def _extended(bias: Optional[jt.Var], keys: int, appended: Sequence[KeyValue]) -> jt.Var:
    """The bias (broadcast to (batch, heads, queries, keys)) of the keys with the appended ones' shifts behind it."""
    first = jt.zeros([1, 1, 1, keys]) if bias is None else bias.expand([*bias.shape[:3], keys])
    shifts = np.concatenate([np.full(one.k.shape[1], one.shift, np.float32) for one in appended])
    return jt.concat([first, jt.array(shifts).reshape(1, 1, 1, -1).expand([*first.shape[:3], len(shifts)])], dim=3)


def shared_sites(unet: Editable, sharing: Sharing) -> FrozenSet[str]:
    """The paths of the self-attentions that share. Raises InputError for a range without any."""
    sites = [site for site in unet.sites if self_attention(site)]
    start, stop = sharing.layers
    if start >= len(sites) or (stop is not None and stop > len(sites)):
        raise InputError(f"the shared layers must lie within this model's {len(sites)} self-attentions")
    # The paper's code counts as diffusers lists its modules: the middle block comes last.
    listed = sorted(sites, key=lambda site: site.path.startswith("mid_block"))
    alone = {site.path for site, is_alone in zip(listed, _alone(len(sites), sharing.only_self_level)) if is_alone}
    return frozenset(site.path for site in sites[start:stop] if site.path not in alone)


def _alone(layers: int, level: float) -> np.ndarray:
    """Which layers stay by themselves, spread evenly, as the paper's code chooses them."""
    few = min(level, 1.0 - level)
    count = int(few * layers + 1e-9)
    chosen = np.arange(layers) % (layers // count) == 0 if count else np.zeros(layers, bool)
    return chosen if level <= 0.5 else ~chosen
