"""ArtFusion's denoiser (arXiv 2306.09330, section 3.2): a latent, the content beside it, and a style in every layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jstyle import ops
from jstyle.networks.artfusion.config import StyleUNetConfig
from jstyle.networks.artfusion.layers import (
    Downsample,
    FinalLayer,
    ModulatedAttention,
    ModulatedResnet,
    Upsample,
    modulate,
)
from jstyle.networks.entry import check_shape, check_times
from jstyle.networks.layers import Conv2d, Linear, Nothing
from jstyle.runtime import jt


class TimeEmbedder(jt.Module):
    """Two linear layers over the sinusoids of a time."""

    def __init__(self, time_width: int, embedding_width: int) -> None:
        layers = [Linear(time_width, embedding_width), Nothing(), Linear(embedding_width, embedding_width)]
        self.mlp = jt.nn.ModuleList(layers)
        self._time_width = time_width

    def execute(self, times: np.ndarray) -> jt.Var:
        """Times (rows,) -> (rows, embedding_width)."""
        half = self._time_width // 2
        angles = times[:, None] * np.exp(np.arange(half, dtype=np.float32) * np.float32(-math.log(10000) / half))
        sinusoids = jt.array(np.concatenate([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32))
        return self.mlp[2](ops.silu(self.mlp[0](sinusoids)))


class StyleUNet(jt.Module):
    """Predicts the noise in a latent, given the time, a content of the same shape, and the numbers of a style."""

    def __init__(self, config: StyleUNetConfig) -> None:
        self.config = config
        wide, refined = config.embedding_width, config.refined_channels
        self.time_embed = TimeEmbedder(config.time_width, wide)
        self.context_emb = jt.nn.ModuleList([Linear(config.style_width, wide), Nothing(), Linear(wide, wide)])
        refiner = [Conv2d(config.channels, refined, 1), Nothing(), Conv2d(refined, refined, 1)]
        self.content_in = jt.nn.ModuleList(refiner)
        twice = 2 * config.channels
        self.content_adaLN_modulation = jt.nn.ModuleList([Linear(wide, twice), Nothing(), Linear(twice, twice)])
        self._build_levels()
        self.out = FinalLayer(config.width, config.channels, wide, config.groups)

    def execute(self, latent: jt.Var, timestep: Any, content: jt.Var, style: jt.Var) -> jt.Var:
        """The noise, (batch, channels, height, width), in float32.

        ``latent`` and ``content`` are (batch, channels, height, width), ``style`` is (batch, style_width),
        ``timestep`` one time for all rows or one for each. Raises InputError for other shapes.
        """
        shape = ("batch", self.config.channels, "height", "width")
        check_shape("ArtFusion's UNet", "latents", latent, shape)
        check_shape("ArtFusion's UNet", "contents", content, tuple(latent.shape))
        check_shape("ArtFusion's UNet", "styles", style, (latent.shape[0], self.config.style_width))
        time = self.time_embed(check_times("ArtFusion's UNet", timestep, latent.shape[0]))
        refined = self._refine(ops.channels_last(content, "float32"), time)
        embedding = time + self.context_emb[2](ops.silu(self.context_emb[0](style)))
        x = ops.concat_channels(ops.channels_last(latent, "float32"), refined)
        skips: list[jt.Var] = []
        for block in self.input_blocks:
            x = _run(block, x, embedding)
            skips.append(x)
        x = _run(self.middle_block, x, embedding)
        for block in self.output_blocks:
            x = _run(block, ops.concat_channels(x, skips.pop()), embedding)
        return ops.channels_first(self.out(x, embedding), "float32")

    def _refine(self, content: jt.Var, time: jt.Var) -> jt.Var:
        """The content's few channels beside the latent, of which the time alone says what is seen."""
        told = self.content_adaLN_modulation[2](ops.silu(self.content_adaLN_modulation[0](time)))
        shift, scale = jt.chunk(told, 2, dim=1)
        return self.content_in[2](ops.silu(self.content_in[0](modulate(content, shift, scale))))

    def _build_levels(self) -> None:
        """The blocks on the way down, in the middle and up again, numbered through as in latent diffusion."""
        config = self.config
        widths = config.block_out_channels
        first = Conv2d(config.channels + config.refined_channels, config.width, 3, padding=(1, 1))
        downwards, skips, channels = [jt.nn.ModuleList([first])], [config.width], config.width
        for level, width in enumerate(widths):
            for _ in range(config.layers):
                downwards.append(jt.nn.ModuleList(self._make_pair(channels, width)))
                channels = width
                skips.append(width)
            if level < len(widths) - 1:
                downwards.append(jt.nn.ModuleList([Downsample(width)]))
                skips.append(width)
        self.input_blocks = jt.nn.ModuleList(downwards)
        resnet = ModulatedResnet(channels, channels, config.embedding_width, config.groups)
        self.middle_block = jt.nn.ModuleList([*self._make_pair(channels, channels), resnet])
        upwards = []
        for level, width in reversed(list(enumerate(widths))):
            for layer in range(config.layers + 1):
                block = self._make_pair(channels + skips.pop(), width)
                channels = width
                if level and layer == config.layers:
                    block.append(Upsample(width))
                upwards.append(jt.nn.ModuleList(block))
        self.output_blocks = jt.nn.ModuleList(upwards)

    def _make_pair(self, in_channels: int, out_channels: int) -> list[jt.Module]:
        """A resnet and an attention."""
        wide, groups = self.config.embedding_width, self.config.groups
        return [
            ModulatedResnet(in_channels, out_channels, wide, groups),
            ModulatedAttention(out_channels, self.config.head_width, wide, groups),
        ]


def _run(block: Any, x: jt.Var, embedding: jt.Var) -> jt.Var:
    for layer in block:
        x = layer(x) if isinstance(layer, Conv2d) else layer(x, embedding)
    return x
