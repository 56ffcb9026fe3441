"""The UNet's blocks: resnets and transformers at one resolution, then a change of resolution.

Feature maps are (batch, height, width, channels). ``temb`` (batch, temb_channels) is the time's embedding after
its silu, ``text`` is what the cross-attentions read, ``edit`` applies the attached editors of attention, if any.
"""

from __future__ import annotations

from typing import Optional

from jstyle import ops
from jstyle.networks.attention import TextContext, Transformer2DModel
from jstyle.networks.config import EncoderConfig
from jstyle.networks.editing import Edit
from jstyle.networks.resnet import Downsample2D, ResnetBlock2D, Upsample2D
from jstyle.runtime import jt

Map = tuple[jt.Var, ...]


class DownBlock2D(jt.Module):
    """Resnets, then, except in the last block, a halving of the resolution."""

    def __init__(self, config: EncoderConfig, level: int, cross: bool = False) -> None:
        channels = config.block_out_channels[level]
        before = config.block_out_channels[max(level - 1, 0)]
        inputs = [before] + [channels] * (config.layers[level] - 1)
        self.resnets = jt.nn.ModuleList([make_resnet(config, n, channels) for n in inputs])
        self.attentions = make_transformers(config, level, len(inputs)) if cross else None
        last = level == len(config.block_out_channels) - 1
        self.downsamplers = None if last else jt.nn.ModuleList([Downsample2D(channels)])

    def execute(self, x: jt.Var, temb: jt.Var, text: TextContext, edit: Optional[Edit]) -> tuple[jt.Var, list[jt.Var]]:
        """x (batch, h, w, in) -> (batch, h / 2, w / 2, out), in the last block (batch, h, w, out); and the skips."""
        skips = []
        for i, block in enumerate(self.resnets):
            x = block(x, temb)
            if self.attentions is not None:
                x = self.attentions[i](x, text, edit)
            skips.append(x)
        if self.downsamplers is not None:
            x = self.downsamplers[0](x)
            skips.append(x)
        return x, skips


class CrossAttnDownBlock2D(DownBlock2D):
    """A down block with a transformer after every resnet."""

    def __init__(self, config: EncoderConfig, level: int) -> None:
        super().__init__(config, level, cross=True)


class UNetMidBlock2DCrossAttn(jt.Module):
    """Resnet, transformer, resnet at the lowest resolution."""

    def __init__(self, config: EncoderConfig) -> None:
        level = len(config.block_out_channels) - 1
        channels = config.block_out_channels[level]
        self.attentions = make_transformers(config, level, 1)
        self.resnets = jt.nn.ModuleList([make_resnet(config, channels, channels) for _ in range(2)])

    def execute(self, x: jt.Var, temb: jt.Var, text: TextContext, edit: Optional[Edit]) -> jt.Var:
        """x (batch, height, width, channels) -> the same."""
        x = self.attentions[0](self.resnets[0](x, temb), text, edit)
        return self.resnets[1](x, temb)


class UpBlock2D(jt.Module):
    """Resnets that each join a skip connection, then, except in the last block, a doubling of the resolution."""

    def __init__(self, config: EncoderConfig, level: int, cross: bool = False) -> None:
        widths = config.block_out_channels
        top = len(widths) - 1
        channels, below, above = widths[level], widths[min(level + 1, top)], widths[max(level - 1, 0)]
        layers = config.layers[level] + 1
        inputs = [below] + [channels] * (layers - 1)
        skips = [channels] * (layers - 1) + [above]
        self.resnets = jt.nn.ModuleList([make_resnet(config, a + b, channels) for a, b in zip(inputs, skips)])
        self.attentions = make_transformers(config, level, layers) if cross else None
        self.upsamplers = jt.nn.ModuleList([Upsample2D(channels)]) if level > 0 else None

    def execute(self, x: jt.Var, skips: list[jt.Var], temb: jt.Var, text: TextContext, edit: Optional[Edit]) -> jt.Var:
        """x (batch, h, w, in) -> the size of the next skip connection; its own are taken off the end of ``skips``."""
        for i, block in enumerate(self.resnets):
            x = block(ops.concat_channels(x, skips.pop()), temb)
            if self.attentions is not None:
                x = self.attentions[i](x, text, edit)
        if self.upsamplers is not None:
            x = self.upsamplers[0](x, *skips[-1].shape[1:3])
        return x


class CrossAttnUpBlock2D(UpBlock2D):
    """An up block with a transformer after every resnet."""

    def __init__(self, config: EncoderConfig, level: int) -> None:
        super().__init__(config, level, cross=True)


def make_resnet(config: EncoderConfig, in_channels: int, out_channels: int) -> ResnetBlock2D:
    """A resnet with the UNet's norms and time embedding."""
    temb_channels = 4 * config.block_out_channels[0]
    return ResnetBlock2D(in_channels, out_channels, config.norm_num_groups, config.norm_eps, temb_channels)


def make_transformers(config: EncoderConfig, level: int, count: int) -> jt.Module:
    """The transformers of one block."""
    return jt.nn.ModuleList(
        [
            Transformer2DModel(
                config.block_out_channels[level],
                config.heads[level],
                config.cross_attention_dim,
                config.norm_num_groups,
                config.use_linear_projection,
                config.upcast_attention,
                config.depths[level],
            )
            for _ in range(count)
        ]
    )


DOWN_BLOCKS = {"DownBlock2D": DownBlock2D, "CrossAttnDownBlock2D": CrossAttnDownBlock2D}
UP_BLOCKS = {"UpBlock2D": UpBlock2D, "CrossAttnUpBlock2D": CrossAttnUpBlock2D}
