"""The layers of ArtFusion's denoiser: what time and style say scales, shifts and gates their normalised maps.

Maps are (batch, height, width, channels), embeddings of time and style (batch, embedding_width).
"""

from __future__ import annotations

from jstyle import ops
from jstyle.networks.layers import Conv2d, GroupNorm, Linear, Nothing
from jstyle.runtime import jt

EPS = 1e-5


def modulate(x: jt.Var, shift: jt.Var, scale: jt.Var) -> jt.Var:
    """A map (batch, height, width, channels) scaled and shifted per row and channel, by (batch, channels) each."""
    return x * (1 + scale[:, None, None, :]) + shift[:, None, None, :]


def normalise(x: jt.Var, groups: int) -> jt.Var:
    """A group norm without weights."""
    channels = x.shape[-1]
    return ops.group_norm(x, groups, jt.ones([channels]), jt.zeros([channels]), EPS)


class ModulatedResnet(jt.Module):
    """norm, silu, conv, modulated norm, silu, conv, gated; plus the input."""

    def __init__(self, in_channels: int, out_channels: int, embedding_width: int, groups: int) -> None:
        first = [GroupNorm(groups, in_channels, EPS), Nothing(), Conv2d(in_channels, out_channels, 3, padding=(1, 1))]
        second = [Nothing(), Nothing(), Nothing(), Conv2d(out_channels, out_channels, 3, padding=(1, 1))]
        self.in_layers, self.out_layers = jt.nn.ModuleList(first), jt.nn.ModuleList(second)
        self.adaLN_modulation = jt.nn.ModuleList([Nothing(), Linear(embedding_width, 3 * out_channels)])
        self.skip_connection = Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else None
        self.groups = groups

    def execute(self, x: jt.Var, embedding: jt.Var) -> jt.Var:
        """x (batch, height, width, in_channels) -> (batch, height, width, out_channels)."""
        gate, scale, shift = jt.chunk(self.adaLN_modulation[1](ops.silu(embedding)), 3, dim=1)
        hidden = normalise(self.in_layers[2](self.in_layers[0](x, silu=True)), self.groups)
        hidden = self.out_layers[3](ops.silu(modulate(hidden, shift, scale)))
        kept = x if self.skip_connection is None else self.skip_connection(x)
        return kept + gate[:, None, None, :] * hidden


class ModulatedAttention(jt.Module):
    """Self-attention over the positions of a modulated map, gated; plus the input."""

    def __init__(self, channels: int, head_width: int, embedding_width: int, groups: int) -> None:
        self.qkv = Linear(channels, 3 * channels)
        self.proj_out = Linear(channels, channels)
        self.adaLN_modulation = jt.nn.ModuleList([Nothing(), Linear(embedding_width, 3 * channels)])
        self.heads, self.groups = channels // head_width, groups

    def execute(self, x: jt.Var, embedding: jt.Var) -> jt.Var:
        """x (batch, height, width, channels) -> the same."""
        batch, height, width, channels = x.shape
        shift, scale, gate = jt.chunk(self.adaLN_modulation[1](ops.silu(embedding)), 3, dim=1)
        hidden = modulate(normalise(x, self.groups), shift, scale).reshape(batch, height * width, channels)
        joined = self.qkv(hidden).reshape(batch, height * width, self.heads, 3, -1)  # head by head: q, k, v
        q, k, v = (joined[:, :, :, part] for part in range(3))
        gathered = self.proj_out(ops.attention(q, k, v).reshape(batch, height, width, channels))
        return x + gate[:, None, None, :] * gathered


class Downsample(jt.Module):
    """Halve height and width by a strided convolution."""

    def __init__(self, channels: int) -> None:
        self.op = Conv2d(channels, channels, 3, stride=2, padding=(1, 1))

    def execute(self, x: jt.Var, embedding: jt.Var) -> jt.Var:
        """x (batch, height, width, channels) -> (batch, height / 2, width / 2, channels)."""
        return self.op(x)


class Upsample(jt.Module):
    """Double height and width, to the nearest, then a convolution."""

    def __init__(self, channels: int) -> None:
        self.conv = Conv2d(channels, channels, 3, padding=(1, 1))

    def execute(self, x: jt.Var, embedding: jt.Var) -> jt.Var:
        """x (batch, height, width, channels) -> (batch, 2 height, 2 width, channels)."""
        return self.conv(ops.upsample_nearest(x, 2 * x.shape[1], 2 * x.shape[2]))


class FinalLayer(jt.Module):
    """A modulated norm and a convolution, with nothing between them."""

    def __init__(self, channels: int, out_channels: int, embedding_width: int, groups: int) -> None:
        self.norm_final = GroupNorm(groups, channels, EPS)
        self.conv = Conv2d(channels, out_channels, 3, padding=(1, 1), bias=False)
        self.adaLN_modulation = jt.nn.ModuleList([Nothing(), Linear(embedding_width, 2 * channels)])

    def execute(self, x: jt.Var, embedding: jt.Var) -> jt.Var:
        """x (batch, height, width, channels) -> (batch, height, width, out_channels)."""
        shift, scale = jt.chunk(self.adaLN_modulation[1](ops.silu(embedding)), 2, dim=1)
        return self.conv(modulate(self.norm_final(x), shift, scale))
