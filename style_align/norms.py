"""Group norms whose statistics are pooled with a reference's, and the recording of what is pooled.

The paper's code concatenates a picture's map with the reference's before every group norm and keeps the first half.
That is the norm with the moments of both together, so the reference's moments are all that is needed of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional

from jstyle import ops
from jstyle.networks.layers import GroupNorm
from jstyle.runtime import jt


@dataclass(frozen=True)
class Moments:
    """Mean and biased variance of groups, (rows, groups) each, over ``count`` numbers."""

    mean: Any
    variance: Any
    count: float


def group_moments(x: jt.Var, groups: int, shift: Optional[jt.Var] = None) -> Moments:
    """Moments of x (batch, height, width, channels), in fp32; ``shift`` (batch, channels) is added to x first."""
    b, h, w, c = x.shape
    flat = ops.cast(x, "float32").reshape(b, h * w, c)
    channel_mean = flat.mean(1)
    if shift is not None:
        channel_mean = channel_mean + ops.cast(shift, "float32")
    mean = channel_mean.reshape(b, groups, c // groups).mean(2)
    # The variance is taken in a second pass: one pass loses all digits of a large mean.
    centred = flat - _per_channel(mean, c, shift).reshape(b, 1, c)
    variance = (centred * centred).mean(1).reshape(b, groups, c // groups).mean(2)
    return Moments(mean, variance, float(h * w * (c // groups)))


def pooled(one: Moments, other: Moments, weight: float = 1.0) -> Moments:
    """The moments of both sets together (Chan, Golub, LeVeque, 1979), each number of ``other`` counting ``weight``."""
    count = one.count + weight * other.count
    share = weight * other.count / count
    apart = other.mean - one.mean
    variance = one.variance * (1 - share) + other.variance * share + apart * apart * (share * (1 - share))
    return Moments(one.mean + apart * share, variance, count)


def normalise(x: jt.Var, norm: GroupNorm, moments: Moments, shift: Optional[jt.Var], silu: bool) -> jt.Var:
    """The group norm of x (+ shift) with given moments, then silu if asked for."""
    b, _, _, c = x.shape
    ones = 1.0 / jt.sqrt(moments.variance + norm.eps)
    scale = _per_channel(ones, c) * ops.cast(norm.weight, "float32")
    centre = _per_channel(moments.mean, c, shift)
    out = (ops.cast(x, "float32") - centre.reshape(b, 1, 1, c)) * scale.reshape(b, 1, 1, c)
    out = ops.cast(out + ops.cast(norm.bias, "float32"), str(x.dtype))
    return ops.silu(out) if silu else out


def _per_channel(values: jt.Var, channels: int, shift: Optional[jt.Var] = None) -> jt.Var:
    """(batch, groups) -> (batch, channels), less what is added to each channel later."""
    b, groups = values.shape
    spread = values.unsqueeze(2).expand([b, groups, channels // groups]).reshape(b, channels)
    return spread if shift is None else spread - ops.cast(shift, "float32")


class RecordingGroupNorm(GroupNorm):
    """The original norm, bit by bit; each call also leaves the moments of what it saw in ``sink``."""

    def __init__(self, original: GroupNorm, path: str, sink: Dict[str, Moments]) -> None:
        _take_over(self, original)
        self._original, self._path, self._sink = original, path, sink

    def execute(self, x: jt.Var, shift: Optional[jt.Var] = None, silu: bool = False) -> jt.Var:
        self._sink[self._path] = group_moments(x, self.groups, shift)
        return self._original(x, shift, silu)


class SharedGroupNorm(GroupNorm):
    """The original norm with statistics pooled with a reference's, which counts ``weight``.

    ``moments`` has one row a half of the batch; None takes those of the first row of each of ``halves`` halves.
    """

    def __init__(self, original: GroupNorm, moments: Optional[Moments], weight: float = 1.0, halves: int = 1) -> None:
        _take_over(self, original)
        self._moments, self._weight, self._halves = moments, weight, halves

    def execute(self, x: jt.Var, shift: Optional[jt.Var] = None, silu: bool = False) -> jt.Var:
        own = group_moments(x, self.groups, shift)
        other = self._moments
        if other is None:
            firsts = [own.mean, own.variance]
            firsts = [one.reshape(self._halves, -1, self.groups)[:, 0] for one in firsts]
            other = Moments(firsts[0], firsts[1], own.count)
        rows = x.shape[0]
        other = Moments(each_row(other.mean, rows), each_row(other.variance, rows), other.count)
        return normalise(x, self, pooled(own, other, self._weight), shift, silu)


def each_row(x: jt.Var, rows: int) -> jt.Var:
    """(halves, ...) -> (rows, ...): what belongs to a half of the batch, for each of the half's rows."""
    if x.shape[0] == rows:
        return x
    halves, *rest = x.shape
    return x.unsqueeze(1).expand([halves, rows // halves, *rest]).reshape(rows, *rest)


def group_norms(unet: jt.Module, replace: Callable[[str, GroupNorm], GroupNorm]) -> Mapping[str, GroupNorm]:
    """A replacement for every group norm of a network, by its path."""
    return {path: replace(path, one) for path, one in unet.named_modules() if isinstance(one, GroupNorm)}


def _take_over(module: GroupNorm, original: GroupNorm) -> None:
    """The same parameters and settings, so that a network looks alike meanwhile."""
    module.weight, module.bias, module.groups, module.eps = (
        original.weight,
        original.bias,
        original.groups,
        original.eps,
    )
