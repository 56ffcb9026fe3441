"""What a reference leaves at one step: keys, values and statistics of its self-attentions, moments of its norms.

Halves are those of a guided batch, the unconditional one first; without guidance there is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from jstyle import ops
from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.schedule import Level, Prediction
from jstyle.errors import InputError
from jstyle.networks.editing import QKV, Editable, Site, attached, self_attention, swapped
from jstyle.ops import KeyValue
from jstyle.runtime import jt
from style_align.norms import Moments, RecordingGroupNorm, average, group_norms, mix_moments
from style_align.settings import Sharing

EPS = 1e-5  # inside the root of AdaIN's deviations, as in the paper's code

Statistics = tuple[Any, Any]
"""Mean and deviation over tokens, (halves, 1, heads, head_dim) each."""


@dataclass(frozen=True)
class SiteFeatures:
    """Of one self-attention: statistics by "q", "k" and "v", and sets of keys and values.

    Keys and values are (halves, tokens, heads, head_dim). A reference by itself leaves one set at most; references
    that are mixed leave one each.
    """

    statistics: Mapping[str, Statistics]
    sets: tuple[KeyValue, ...]


@dataclass(frozen=True)
class Features:
    """Of one step, by the paths of attentions and norms. Arrays are Vars, or NumPy's while they are kept."""

    sites: Mapping[str, SiteFeatures]
    norms: Mapping[str, Moments]

    def map_arrays(self, keys: Callable[[Any], Any], small: Callable[[Any], Any]) -> Features:
        """The same with every key and value through ``keys``, every statistic through ``small``."""
        sites = {
            path: SiteFeatures(
                {part: (small(mean), small(deviation)) for part, (mean, deviation) in site.statistics.items()},
                tuple(KeyValue(keys(pair.k), keys(pair.v), pair.shift) for pair in site.sets),
            )
            for path, site in self.sites.items()
        }
        norms = {path: Moments(small(m.mean), small(m.variance), m.count) for path, m in self.norms.items()}
        return Features(sites, norms)

    def list_arrays(self) -> list[Any]:
        """Every array in it."""
        arrays: list[Any] = []
        self.map_arrays(arrays.append, arrays.append)
        return arrays

    def keep(self, dtype: str) -> Features:
        """For keeping: NumPy arrays, keys and values in ``dtype``, statistics in float32."""
        return self.map_arrays(
            lambda x: np.array(ops.cast(x, "float32").numpy()).astype(dtype), lambda x: np.array(x.numpy())
        )

    def restore(self, dtype: str) -> Features:
        """Kept features for a network that computes in ``dtype``."""
        return self.map_arrays(lambda x: ops.cast(jt.array(x.astype(np.float32)), dtype), jt.array)


class Recorder:
    """A denoiser of one reference that changes nothing; ``features`` are what its last call left, where it shares."""

    def __init__(self, denoiser: GuidedDenoiser, sharing: Sharing) -> None:
        self.features: Optional[Features] = None
        self.dtype = denoiser.unet.dtype
        self._denoiser = denoiser
        self._sharing = sharing
        self._paths = shared_sites(denoiser.unet, sharing)

    @property
    def evaluations(self) -> int:
        """The latents that have gone through the UNet."""
        return self._denoiser.evaluations

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        """x is (1, channels, height, width)."""
        self.features = None
        if not self._sharing.acts_at(step):
            return self._denoiser(x, level, step)
        sites: dict[str, SiteFeatures] = {}
        norms: dict[str, Moments] = {}
        prediction = self._record(x, level, step, sites, norms)
        self.features = Features(sites, norms)
        # Now, or what they are made of - the input of every norm - would stay until somebody asks.
        jt.sync(self.features.list_arrays())
        return prediction

    def _record(
        self, x: jt.Var, level: Level, step: int, sites: dict[str, SiteFeatures], norms: dict[str, Moments]
    ) -> Prediction:
        def note(site: Site, step: int, qkv: QKV) -> QKV:
            sites[site.path] = describe_site(qkv, self._sharing)
            return qkv

        unet = self._denoiser.unet
        recording = group_norms(unet, lambda path, norm: RecordingGroupNorm(norm, path, norms))
        with swapped(unet, recording if self._sharing.share_group_norm else {}):
            if not self._paths:
                return self._denoiser(x, level, step)
            with attached(unet, note, lambda site: site.path in self._paths):
                return self._denoiser(x, level, step)


def describe_site(qkv: QKV, sharing: Sharing) -> SiteFeatures:
    """What targets will share of a self-attention."""
    adapted = {"q": sharing.adain_queries, "k": sharing.adain_keys, "v": sharing.adain_values}
    statistics = {part: token_statistics(getattr(qkv, part)) for part, is_adapted in adapted.items() if is_adapted}
    return SiteFeatures(statistics, (KeyValue(qkv.k, qkv.v),) if sharing.share_attention else ())


def token_statistics(x: jt.Var) -> Statistics:
    """Mean and deviation (unbiased) over the tokens of (rows, tokens, heads, head_dim), in fp32."""
    x = ops.cast(x, "float32")
    mean = x.mean(1, keepdims=True)
    centred = x - mean
    variance = (centred * centred).sum(1, keepdims=True) / max(x.shape[1] - 1, 1)
    return mean, jt.sqrt(variance + EPS)


def mix(references: Sequence[Features], weights: Sequence[float], sharing: Sharing) -> Features:
    """What targets get of references, by weights that sum to 1.

    Statistics are averaged, norms take the moments of the mixture, and a reference's keys have its weight as a
    factor in the softmax: log(weight) on their logits, like log(style_strength).
    """
    with jt.no_grad():
        sites = {
            path: _mix_site([reference.sites[path] for reference in references], weights, sharing)
            for path in references[0].sites
        }
        norms = {
            path: mix_moments([reference.norms[path] for reference in references], weights)
            for path in references[0].norms
        }
        return Features(sites, norms)


def _mix_site(references: Sequence[SiteFeatures], weights: Sequence[float], sharing: Sharing) -> SiteFeatures:
    log_strength = math.log(sharing.style_strength)
    means_and_deviations = {
        part: (
            average([site.statistics[part][0] for site in references], weights),
            average([site.statistics[part][1] for site in references], weights),
        )
        for part in references[0].statistics
    }
    sets = tuple(
        KeyValue(
            pair.k if sharing.shared_score_scale == 1.0 else _scale(pair.k, sharing.shared_score_scale),
            pair.v,
            sharing.shared_score_shift + log_strength + math.log(weight),
        )
        for site, weight in zip(references, weights)
        for pair in site.sets
    )
    return SiteFeatures(means_and_deviations, sets)


def _scale(k: jt.Var, scale: float) -> jt.Var:
    return ops.cast(ops.cast(k, "float32") * scale, str(k.dtype))


def shared_sites(unet: Editable, sharing: Sharing) -> frozenset[str]:
    """The paths of the self-attentions that share. Raises InputError for a range without any."""
    sites = [site for site in unet.sites if self_attention(site)]
    start, stop = sharing.layers
    if start >= len(sites) or (stop is not None and stop > len(sites)):
        raise InputError(f"the shared layers must lie within this model's {len(sites)} self-attentions")
    # The paper's code counts as diffusers lists its modules: the middle block comes last.
    in_its_order = sorted(sites, key=lambda site: site.path.startswith("mid_block"))
    alone = _choose_alone(len(sites), sharing.only_self_level)
    left_out = {site.path for site, is_alone in zip(in_its_order, alone) if is_alone}
    return frozenset(site.path for site in sites[start:stop] if site.path not in left_out)


def _choose_alone(layers: int, level: float) -> np.ndarray:
    """Which layers stay by themselves, spread evenly, as the paper's code chooses them."""
    few = min(level, 1.0 - level)
    count = int(few * layers + 1e-9)
    alone = np.arange(layers) % (layers // count) == 0 if count else np.zeros(layers, bool)
    return alone if level <= 0.5 else ~alone
