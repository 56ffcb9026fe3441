"""What a reference leaves at one step: keys, values and statistics of its self-attentions, moments of its norms.

Halves are those of a guided batch, the unconditional one first; without guidance there is one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable, Collection, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from jstyle import ops
from jstyle.networks.editing import QKV, Site
from jstyle.ops import KeyValue
from jstyle.runtime import jt
from style_align.norms import Moments
from style_align.settings import Sharing

EPS = 1e-5  # inside the root of AdaIN's deviations, as in the paper's code

Statistics = Tuple[Any, Any]


@dataclass(frozen=True)
class SiteFeatures:
    """k and v, (halves, tokens, heads, head_dim), where they are shared, and by "q", "k", "v" what AdaIN gives.

    Statistics are the mean and the deviation over tokens, (halves, 1, heads, head_dim) each.
    """

    k: Optional[Any]
    v: Optional[Any]
    statistics: Mapping[str, Statistics]


@dataclass(frozen=True)
class StepFeatures:
    """One step of one reference, by the paths of attentions and norms. Arrays are Vars, or NumPy's while kept."""

    sites: Mapping[str, SiteFeatures]
    norms: Mapping[str, Moments]

    def each(self, keys: Callable[[Any], Any], small: Callable[[Any], Any]) -> StepFeatures:
        """The same with every key and value through ``keys``, every statistic through ``small``."""
        sites = {
            path: SiteFeatures(
                None if site.k is None else keys(site.k),
                None if site.v is None else keys(site.v),
                {part: (small(mean), small(deviation)) for part, (mean, deviation) in site.statistics.items()},
            )
            for path, site in self.sites.items()
        }
        norms = {path: Moments(small(m.mean), small(m.variance), m.count) for path, m in self.norms.items()}
        return StepFeatures(sites, norms)

    def arrays(self) -> List[Any]:
        """Every array in it."""
        found: List[Any] = []
        self.each(found.append, found.append)
        return found

    def kept(self, dtype: str) -> StepFeatures:
        """For keeping: NumPy arrays, keys and values in ``dtype``, statistics in float32."""
        return self.each(
            lambda x: np.array(ops.cast(x, "float32").numpy()).astype(dtype), lambda x: np.array(x.numpy())
        )

    def restored(self, dtype: str) -> StepFeatures:
        """Kept features for a network that computes in ``dtype``."""
        return self.each(lambda x: ops.cast(jt.array(x.astype(np.float32)), dtype), jt.array)


class Recorder:
    """An editor that changes nothing and notes what targets will share."""

    def __init__(self, sharing: Sharing) -> None:
        self.sites: Dict[str, SiteFeatures] = {}
        self._keys = sharing.share_attention
        wanted = {"q": sharing.adain_queries, "k": sharing.adain_keys, "v": sharing.adain_values}
        self._parts = [part for part, is_wanted in wanted.items() if is_wanted]

    def __call__(self, site: Site, step: int, qkv: QKV) -> QKV:
        statistics = {part: token_statistics(getattr(qkv, part)) for part in self._parts}
        k, v = (qkv.k, qkv.v) if self._keys else (None, None)
        self.sites[site.path] = SiteFeatures(k, v, statistics)
        return qkv


def token_statistics(x: jt.Var) -> Statistics:
    """Mean and deviation (unbiased) over the tokens of (rows, tokens, heads, head_dim), in fp32."""
    x = ops.cast(x, "float32")
    mean = x.mean(1, keepdims=True)
    centred = x - mean
    variance = (centred * centred).sum(1, keepdims=True) / max(x.shape[1] - 1, 1)
    return mean, jt.sqrt(variance + EPS)


@dataclass(frozen=True)
class Given:
    """What one self-attention of a target gets: statistics by part, and sets of keys and values."""

    statistics: Mapping[str, Statistics]
    sets: Sequence[KeyValue]


@dataclass(frozen=True)
class Plan:
    """What targets get at one step, of all references together."""

    sites: Mapping[str, Given]
    norms: Mapping[str, Moments]


def plan(references: Sequence[StepFeatures], weights: Sequence[float], sharing: Sharing) -> Plan:
    """Mix references by weights that sum to 1.

    Statistics are averaged, norms take the moments of the mixture, and a reference's keys have its weight as a
    factor in the softmax: log(weight) on their logits, like log(style_strength).
    """
    log_strength = math.log(sharing.style_strength)
    with jt.no_grad():
        sites = {}
        for path in references[0].sites:
            each = [reference.sites[path] for reference in references]
            statistics = {
                part: tuple(_average([site.statistics[part][i] for site in each], weights) for i in (0, 1))
                for part in each[0].statistics
            }
            sets = [
                KeyValue(
                    site.k if sharing.shared_score_scale == 1.0 else _scaled(site.k, sharing.shared_score_scale),
                    site.v,
                    sharing.shared_score_shift + log_strength + math.log(weight),
                )
                for site, weight in zip(each, weights)
                if site.k is not None
            ]
            sites[path] = Given(statistics, sets)
        norms = {path: mixture([one.norms[path] for one in references], weights) for path in references[0].norms}
        return Plan(sites, norms)


def _scaled(k: jt.Var, scale: float) -> jt.Var:
    return ops.cast(ops.cast(k, "float32") * scale, str(k.dtype))


def _average(values: Sequence[Any], weights: Sequence[float]) -> Any:
    if len(values) == 1:
        return values[0]
    return sum(value * weight for value, weight in zip(values, weights))


def mixture(parts: Sequence[Moments], weights: Sequence[float]) -> Moments:
    """The moments of a number drawn from part i with the probability weights[i]."""
    if len(parts) == 1:
        return parts[0]
    mean = _average([part.mean for part in parts], weights)
    variance = _average([part.variance + (part.mean - mean) ** 2 for part in parts], weights)
    return Moments(mean, variance, sum(part.count * weight for part, weight in zip(parts, weights)))


def feature_bytes(unet: Any, paths: Collection[str], shape: Sequence[int], halves: int, itemsize: int) -> int:
    """Bytes of the keys and values of one step for a latent (channels, height, width)."""
    total = 0
    for site in unet.sites:
        if site.path in paths:
            height, width = (-(-size // 2**site.level) for size in shape[1:])
            total += 2 * halves * height * width * unet.config.block_out_channels[site.level] * itemsize
    return total
