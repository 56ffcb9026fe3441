"""Residual convolution blocks and the changes of resolution between them."""

from __future__ import annotations

from typing import Optional

from jstyle import ops
from jstyle.networks.layers import Conv2d, GroupNorm, Linear
from jstyle.runtime import jt


class ResnetBlock2D(jt.Module):
    """norm, silu, conv, time embedding, norm, silu, conv, plus the input."""

    def __init__(
        self, in_channels: int, out_channels: int, groups: int, eps: float, temb_channels: Optional[int] = None
    ) -> None:
        self.norm1 = GroupNorm(groups, in_channels, eps)
        self.conv1 = Conv2d(in_channels, out_channels, 3, padding=(1, 1))
        if temb_channels is not None:
            self.time_emb_proj = Linear(temb_channels, out_channels)
        self.norm2 = GroupNorm(groups, out_channels, eps)
        self.conv2 = Conv2d(out_channels, out_channels, 3, padding=(1, 1))
        self.conv_shortcut = Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else None

    def execute(self, x: jt.Var, temb: Optional[jt.Var] = None) -> jt.Var:
        """x (batch, height, width, in_channels) -> (batch, height, width, out_channels).

        ``temb`` (batch, temb_channels), where the block takes one, is the time's embedding after its silu, which is
        the same in every block.
        """
        hidden = self.conv1(self.norm1(x, silu=True))
        shift = None if temb is None else self.time_emb_proj(temb)
        hidden = self.norm2(hidden, shift, silu=True)
        return self.conv2(hidden, residual=x if self.conv_shortcut is None else self.conv_shortcut(x))


class Downsample2D(jt.Module):
    """Halve height and width by a strided convolution.

    The UNet pads on all sides; the VAE's encoder (``asymmetric``) at the bottom and right only.
    """

    def __init__(self, channels: int, asymmetric: bool = False) -> None:
        self.conv = Conv2d(channels, channels, 3, stride=2, padding=(0, 1) if asymmetric else (1, 1))

    def execute(self, x: jt.Var) -> jt.Var:
        """x (batch, height, width, channels) -> (batch, height / 2 rounded up, width / 2 likewise, channels)."""
        return self.conv(x)


class Upsample2D(jt.Module):
    """Nearest upsampling, then a convolution."""

    def __init__(self, channels: int) -> None:
        self.conv = Conv2d(channels, channels, 3, padding=(1, 1))

    def execute(self, x: jt.Var, height: Optional[int] = None, width: Optional[int] = None) -> jt.Var:
        """x (batch, h, w, channels) -> (batch, height, width, channels), by default twice the input's h and w."""
        return self.conv(ops.upsample_nearest(x, height or 2 * x.shape[1], width or 2 * x.shape[2]))
