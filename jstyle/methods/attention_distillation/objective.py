"""What is compared: attention as it is with attention to a style (arXiv 2502.20235, equations 3 to 6)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from jstyle import ops
from jstyle.networks.editing import QKV, Seen
from jstyle.runtime import jt


@dataclass(frozen=True)
class StyleKeys:
    """A layer's keys and values of all styles, laid end to end, (1, tokens of all, heads, head_dim), and their bias."""

    k: jt.Var
    v: jt.Var
    bias: Optional[jt.Var]


@dataclass(frozen=True)
class Targets:
    """What latents are compared with at a level, by layer: the styles' keys and values, and the contents' queries."""

    styles: Mapping[str, StyleKeys]
    contents: Optional[Seen] = None
    content_weight: float = 0.0


def join_styles(seen: Sequence[Seen], weights: Sequence[float]) -> dict[str, StyleKeys]:
    """What the styles have left at the layers, their (k, v), as one: each key counts as often as the style weighs."""
    joined = {}
    for path in seen[0]:
        keys, values = ([style[path][part] for style in seen] for part in (0, 1))
        bias = None
        if len(set(weights)) > 1:
            logs = [np.full(k.shape[1], math.log(weight), np.float32) for k, weight in zip(keys, weights)]
            bias = jt.array(np.concatenate(logs).reshape(1, 1, 1, -1))
        joined[path] = StyleKeys(jt.concat(keys, dim=1), jt.concat(values, dim=1), bias)
    return joined


def measure_loss(seen: Seen, targets: Targets, temperature: float) -> jt.Var:
    """The loss of latents that have left (q, out) at the layers, summed over its rows, (1,).

    At each layer it is the distance of what is gathered from what the same queries gather of the styles (equation 4),
    and, with its weight, that of the queries from the contents' (equation 6). What is compared with stands still.
    """
    total = jt.zeros((1,))
    for path, (q, out) in seen.items():
        with jt.no_grad():
            style = targets.styles[path]
            wanted = QKV(q, style.k, style.v, style.bias, temperature=temperature).attend()
        total = total + measure_distance(out, wanted)
        if targets.contents is not None and targets.content_weight:
            total = total + targets.content_weight * measure_distance(q, targets.contents[path][0])
    return total


def measure_distance(x: jt.Var, wanted: jt.Var) -> jt.Var:
    """The mean absolute difference of each row (batch, ...), summed over rows; ``wanted`` stands still.

    Its gradient is 0 where both are equal, as PyTorch's is, and as it is everywhere while a content is where it was:
    Jittor's own of an absolute value would be 1 there.
    """
    with jt.no_grad():
        still = ops.cast(wanted, "float32").stop_grad()
        difference = ops.cast(x, "float32") - still
        signs = ((difference > 0).float32() - (difference < 0).float32()).stop_grad()
    return ((ops.cast(x, "float32") - still) * signs).sum() * (x.shape[0] / math.prod(x.shape))
