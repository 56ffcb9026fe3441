"""Adaptive instance normalisation (arXiv 1703.06868, equation 8) of latents."""

from __future__ import annotations

from typing import Tuple

from jstyle.runtime import jt


def adain(content: jt.Var, style: jt.Var, eps: float = 0.0) -> jt.Var:
    """Give each channel of (batch, channels, height, width) the style's mean and deviation.

    Statistics are each sample's own over its height and width; the deviation is the unbiased one. ``eps`` is added to
    the content's: without it a channel of one value is a division by zero.
    """
    mean, deviation = _statistics(content)
    style_mean, style_deviation = _statistics(style)
    return (content - mean) / (deviation + eps) * style_deviation + style_mean


def _statistics(x: jt.Var) -> Tuple[jt.Var, jt.Var]:
    mean = x.mean(dims=(2, 3), keepdims=True)
    count = x.shape[2] * x.shape[3]
    variance = ((x - mean) ** 2).sum(dims=(2, 3), keepdims=True) / max(count - 1, 1)
    return mean, jt.sqrt(variance)
