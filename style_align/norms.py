"""Group norms whose statistics are pooled with a reference's, and the recording of what is pooled.

The paper's code concatenates a picture's map with the reference's before every group norm and keeps the first half.
That is the norm with the moments of both together, so the reference's moments are all that is needed of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

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


def pool(moments: Moments, other: Moments, weight: float = 1.0) -> Moments:
    """The moments of both sets together (Chan, Golub, LeVeque, 1979), each number of ``other`` counting ``weight``."""
    count = moments.count + weight * other.count
    share = weight * other.count / count
    apart = other.mean - moments.mean
    variance = moments.variance * (1 - share) + other.variance * share + apart * apart * (share * (1 - share))
    return Moments(moments.mean + apart * share, variance, count)


def mix_moments(parts: Sequence[Moments], weights: Sequence[float]) -> Moments:
    """The moments of a number drawn from part i with the probability weights[i]."""
    if len(parts) == 1:
        return parts[0]
    mean = average([part.mean for part in parts], weights)
    variance = average([part.variance + (part.mean - mean) ** 2 for part in parts], weights)
    return Moments(mean, variance, sum(part.count * weight for part, weight in zip(parts, weights)))


def average(values: Sequence[Any], weights: Sequence[float]) -> Any:
    """The mean by weights that sum to 1; of a single value that value, bit by bit."""
    if len(values) == 1:
        return values[0]
    return sum(value * weight for value, weight in zip(values, weights))


def normalise(x: jt.Var, norm: GroupNorm, moments: Moments, shift: Optional[jt.Var], silu: bool) -> jt.Var:
    """The group norm of x (+ shift) with these moments, then silu if asked for."""
    b, _, _, c = x.shape
    inverse = 1.0 / jt.sqrt(moments.variance + norm.eps)
    factor, offset = norm.affine()
    scale = _per_channel(inverse, c) * ops.cast(factor, "float32")
    centre = _per_channel(moments.mean, c, shift)
    out = (ops.cast(x, "float32") - centre.reshape(b, 1, 1, c)) * scale.reshape(b, 1, 1, c)
    out = ops.cast(out + ops.cast(offset, "float32"), str(x.dtype))
    return ops.silu(out) if silu else out


def _per_channel(values: jt.Var, channels: int, shift: Optional[jt.Var] = None) -> jt.Var:
    """(batch, groups) -> (batch, channels), less what is added to each channel later."""
    b, groups = values.shape
    spread = values.unsqueeze(2).expand([b, groups, channels // groups]).reshape(b, channels)
    return spread if shift is None else spread - ops.cast(shift, "float32")


class RecordingGroupNorm(GroupNorm):
    """The original norm, bit by bit; each call also leaves the moments of what it saw in ``sink``."""

    def __init__(self, original: GroupNorm, path: str, sink: dict[str, Moments]) -> None:
        _take_over(self, original)
        self._original, self._path, self._sink = original, path, sink

    def execute(self, x: jt.Var, shift: Optional[jt.Var] = None, silu: bool = False) -> jt.Var:
        """As the original's."""
        self._sink[self._path] = group_moments(x, self.groups, shift)
        return self._original(x, shift, silu)


class SharedGroupNorm(GroupNorm):
    """The original norm with statistics pooled with a reference's, which counts ``weight``.

    ``moments`` has one row a half of the batch; None takes those of the first row of each of ``halves`` halves.
    """

    def __init__(self, original: GroupNorm, moments: Optional[Moments], weight: float = 1.0, halves: int = 1) -> None:
        _take_over(self, original)
        self._original, self._moments, self._weight, self._halves = original, moments, weight, halves

    def execute(self, x: jt.Var, shift: Optional[jt.Var] = None, silu: bool = False) -> jt.Var:
        """As the original's."""
        moments = group_moments(x, self.groups, shift)
        other = self._moments
        if other is None:
            mean, variance = (
                values.reshape(self._halves, -1, self.groups)[:, 0] for values in (moments.mean, moments.variance)
            )
            other = Moments(mean, variance, moments.count)
        rows = x.shape[0]
        other = Moments(repeat_rows(other.mean, rows), repeat_rows(other.variance, rows), other.count)
        return normalise(x, self._original, pool(moments, other, self._weight), shift, silu)


def repeat_rows(x: jt.Var, rows: int) -> jt.Var:
    """(halves, ...) -> (rows, ...): what belongs to a half of the batch, for each of the half's rows."""
    if x.shape[0] == rows:
        return x
    halves, *rest = x.shape
    return x.unsqueeze(1).expand([halves, rows // halves, *rest]).reshape(rows, *rest)


def group_norms(unet: jt.Module, replace: Callable[[str, GroupNorm], GroupNorm]) -> Mapping[str, GroupNorm]:
    """A replacement for every group norm of a network, by its path."""
    return {path: replace(path, module) for path, module in unet.named_modules() if isinstance(module, GroupNorm)}


def _take_over(module: GroupNorm, original: GroupNorm) -> None:
    """The same parameters and settings, so that a network looks alike meanwhile."""
    module.weight, module.bias, module.groups, module.eps = (
        original.weight,
        original.bias,
        original.groups,
        original.eps,
    )
