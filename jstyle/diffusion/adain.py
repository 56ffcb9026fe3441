"""Adaptive instance normalisation (arXiv 1703.06868, equation 8) of latents."""

from __future__ import annotations

from jstyle.runtime import jt


def adain(content: jt.Var, style: jt.Var, eps: float = 0.0) -> jt.Var:
    """Give each channel of the content (batch, channels, height, width) the style's mean and deviation.

    Both are taken over height and width of each sample; the deviation is the unbiased one. ``eps`` is added to the
    content's: without it, a channel of a single value leads to a division by zero.
    """
    mean, deviation = measure_channels(content)
    style_mean, style_deviation = measure_channels(style)
    return (content - mean) / (deviation + eps) * style_deviation + style_mean


def measure_channels(x: jt.Var) -> tuple[jt.Var, jt.Var]:
    """The mean and the deviation of each channel, (batch, channels, 1, 1)."""
    mean = x.mean(dims=(2, 3), keepdims=True)
    count = x.shape[2] * x.shape[3]
    variance = ((x - mean) ** 2).sum(dims=(2, 3), keepdims=True) / max(count - 1, 1)
    return mean, jt.sqrt(variance)
