"""How targets share: editors of their attention (arXiv 2312.02133, equations 2 to 4), and denoisers that attach them.

The network is changed for the time of one call and is as before after it, after an exception too. Editors that the
caller has attached come first, for the references as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Optional

import numpy as np

from jstyle import ops
from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.schedule import Level, Prediction
from jstyle.networks.editing import QKV, AttentionEditor, Site, attached, require_plain, swapped
from jstyle.networks.layers import GroupNorm
from jstyle.ops import KeyValue
from jstyle.runtime import jt
from style_align.features import EPS, Features, Statistics, shared_sites
from style_align.norms import SharedGroupNorm, group_norms, repeat_rows
from style_align.reference import References, Trajectory
from style_align.settings import Sharing


class ShareAttention:
    """Give targets the reference's statistics, and its keys and values beside their own.

    The batch is targets alone, in as many halves as the reference was recorded in.
    """

    def __init__(self, features: Features, sharing: Sharing) -> None:
        self._features = features
        self._amount = min(sharing.style_strength, 1.0)

    def __call__(self, site: Site, step: int, qkv: QKV) -> QKV:
        """As every editor of attention."""
        shared = self._features.sites[site.path]
        rows = qkv.q.shape[0]
        changed = {
            part: adain(repeat_rows(getattr(qkv, part), rows), statistics, self._amount)
            for part, statistics in shared.statistics.items()
        }
        return attend_also(replace(qkv, **changed), shared.sets)


class ShareEverything:
    """Let all pictures of each half attend to each other: their tokens become one sequence."""

    def __init__(self, halves: int) -> None:
        self._halves = halves

    def __call__(self, site: Site, step: int, qkv: QKV) -> QKV:
        """As every editor of attention. Raises InputError where another has added keys, a bias or an attention."""
        require_plain(qkv, "full attention sharing")
        rows = qkv.q.shape[0]
        joined = [repeat_rows(x, rows).reshape(self._halves, -1, *x.shape[2:]) for x in (qkv.q, qkv.k, qkv.v)]
        return replace(qkv, q=joined[0], k=joined[1], v=joined[2])


class Aligned:
    """A denoiser of targets that share with references."""

    def __init__(self, denoiser: GuidedDenoiser, references: References, sharing: Sharing) -> None:
        self._denoiser = denoiser
        self._references = references
        self._sharing = sharing
        self._paths = shared_sites(denoiser.unet, sharing)

    @property
    def evaluations(self) -> int:
        """The targets' latents that have gone through the UNet."""
        return self._denoiser.evaluations

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        """x is (targets, channels, height, width)."""
        if not self._sharing.acts_at(step):
            return self._denoiser(x, level, step)
        x.sync()  # before the references: else Jittor fuses what x waits for otherwise, where they are evaluated now
        features = self._references.at(step, level)
        weight = min(self._sharing.style_strength, 1.0)
        norms: Mapping[str, GroupNorm] = {}
        if features.norms:
            norms = group_norms(
                self._denoiser.unet, lambda path, norm: SharedGroupNorm(norm, features.norms[path], weight)
            )
        editor = ShareAttention(features, self._sharing)
        return _denoise_edited(self._denoiser, editor, self._paths, norms, x, level, step)


class Joint:
    """A denoiser of a whole set that shares everything: its first row is the reference.

    With a ``trajectory`` the first row is the reference's latent of that step, and x holds the targets alone.
    """

    def __init__(
        self, denoiser: GuidedDenoiser, sharing: Sharing, trajectory: Optional[Trajectory] = None, offset: int = 0
    ) -> None:
        self._denoiser = denoiser
        self._sharing = sharing
        self._trajectory = trajectory
        self._offset = offset
        self._paths = shared_sites(denoiser.unet, sharing)

    @property
    def evaluations(self) -> int:
        """The latents that have gone through the UNet, the reference's too."""
        return self._denoiser.evaluations

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        """x is (rows, channels, height, width)."""
        if self._trajectory is None:
            return self._share(x, level, step)
        times = self._trajectory.times
        call = step if step < len(times) and times[step] == level.t else times.index(level.t)
        latent = jt.array(self._trajectory.fed(call, self._offset)[None])
        prediction = self._share(jt.concat([latent, x], dim=0), level, step)
        return Prediction(prediction.x0[1:], prediction.eps[1:])

    def _share(self, x: jt.Var, level: Level, step: int) -> Prediction:
        if not self._sharing.acts_at(step):
            return self._denoiser(x, level, step)
        halves = 1 + self._denoiser.guided
        norms: Mapping[str, GroupNorm] = {}
        if self._sharing.share_group_norm:
            norms = group_norms(self._denoiser.unet, lambda path, norm: SharedGroupNorm(norm, None, halves=halves))
        return _denoise_edited(self._denoiser, ShareEverything(halves), self._paths, norms, x, level, step)


def _denoise_edited(
    denoiser: GuidedDenoiser,
    editor: AttentionEditor,
    paths: frozenset[str],
    norms: Mapping[str, GroupNorm],
    x: jt.Var,
    level: Level,
    step: int,
) -> Prediction:
    with ExitStack() as stack:
        if paths:
            stack.enter_context(attached(denoiser.unet, editor, lambda site: site.path in paths))
        stack.enter_context(swapped(denoiser.unet, norms))
        return denoiser(x, level, step)


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
    mean, deviation = (repeat_rows(values, rows) for values in statistics)
    out = unit * (deviation * share**0.5) + mean
    if amount != 1.0:
        out = wide + (out - wide) * amount
    return ops.cast(out, str(x.dtype))


def attend_also(qkv: QKV, sets: Sequence[KeyValue]) -> QKV:
    """Let the queries attend to more sets of keys and values, beside whatever another editor has added.

    One set goes where attention takes a second set. Of several the others are appended to the keys, and what is
    to be added to their logits becomes a bias.
    """
    added: list[KeyValue] = [*([qkv.shared] if qkv.shared is not None else []), *sets]
    if not added:
        return qkv
    *appended, last = added
    rows = qkv.q.shape[0]
    if appended:
        k = jt.concat([repeat_rows(qkv.k, rows), *(repeat_rows(pair.k, rows) for pair in appended)], dim=1)
        v = jt.concat([repeat_rows(qkv.v, rows), *(repeat_rows(pair.v, rows) for pair in appended)], dim=1)
        qkv = replace(qkv, k=k, v=v, bias=_extend(qkv.bias, qkv.k.shape[1], appended))
    ready = [x if x.shape[0] == 1 else repeat_rows(x, rows) for x in (last.k, last.v)]
    return replace(qkv, shared=KeyValue(ready[0], ready[1], last.shift))


def _extend(bias: Optional[jt.Var], keys: int, appended: Sequence[KeyValue]) -> jt.Var:
    """The bias (broadcast to (batch, heads, queries, keys)) of the keys with the appended ones' shifts behind it."""
    first = jt.zeros([1, 1, 1, keys]) if bias is None else bias.expand([*bias.shape[:3], keys])
    shifts = np.concatenate([np.full(pair.k.shape[1], pair.shift, np.float32) for pair in appended])
    return jt.concat([first, jt.array(shifts).reshape(1, 1, 1, -1).expand([*first.shape[:3], len(shifts)])], dim=3)
