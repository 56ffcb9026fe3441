"""The denoising network (arXiv 2112.10752, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Optional, Union

import numpy as np

from jstyle import ops
from jstyle.errors import InputError
from jstyle.networks.attention import Attention, TextContext
from jstyle.networks.config import UNetConfig
from jstyle.networks.editing import Attachment, Site, bind
from jstyle.networks.entry import check_shape, check_times
from jstyle.networks.layers import Conv2d, GroupNorm, Linear
from jstyle.networks.unet_blocks import DOWN_BLOCKS, UP_BLOCKS, UNetMidBlock2DCrossAttn
from jstyle.runtime import jt

Times = Union[float, Sequence[float]]


class TimestepEmbedding(jt.Module):
    """Two linear layers over the sinusoidal embedding of the time."""

    def __init__(self, channels: int, out_channels: int) -> None:
        self.linear_1 = Linear(channels, out_channels)
        self.linear_2 = Linear(out_channels, out_channels)

    def execute(self, x: jt.Var) -> jt.Var:
        """Sinusoids (batch, channels) -> (batch, out_channels)."""
        return self.linear_2(ops.silu(self.linear_1(x)))


class UNet2DConditionModel(jt.Module):
    """Predicts the noise (or the velocity, or the image) in a noisy latent, given the time and a text.

    ``sites`` lists its attention layers; ``attachments`` what ``jstyle.networks.editing.attached`` has put on them.
    """

    def __init__(self, config: UNetConfig) -> None:
        widths = config.block_out_channels
        levels = range(len(widths))
        self.config = config
        self.conv_in = Conv2d(config.in_channels, widths[0], 3, padding=(1, 1))
        self.time_embedding = TimestepEmbedding(widths[0], 4 * widths[0])
        self.down_blocks = jt.nn.ModuleList(
            [_get_block(DOWN_BLOCKS, name)(config, level) for name, level in zip(config.down_block_types, levels)]
        )
        self.mid_block = UNetMidBlock2DCrossAttn(config)
        self.up_blocks = jt.nn.ModuleList(
            [_get_block(UP_BLOCKS, name)(config, level) for name, level in zip(config.up_block_types, reversed(levels))]
        )
        self.conv_norm_out = GroupNorm(config.norm_num_groups, widths[0], config.norm_eps)
        self.conv_out = Conv2d(widths[0], config.out_channels, 3, padding=(1, 1))
        self.compute_dtype: Optional[str] = None
        self.attachments: tuple[Attachment, ...] = ()
        self.sites: tuple[Site, ...] = self._number_sites()

    @property
    def dtype(self) -> str:
        """The dtype it computes in: ``compute_dtype``, or else that of its weights."""
        return self.compute_dtype or str(self.conv_in.weight.dtype)

    def execute(
        self, sample: jt.Var, timestep: Times, encoder_hidden_states: Union[jt.Var, TextContext], step: int = 0
    ) -> jt.Var:
        """sample (batch, in_channels, height, width) -> (batch, out_channels, height, width), always in fp32.

        ``encoder_hidden_states`` is (batch, tokens, cross_attention_dim); one `TextContext` passed to several calls
        saves projecting the text again. ``timestep`` is one time for all rows, or one for each; ``step`` is announced
        to the attached editors. Raises InputError, before anything is computed, for inputs of other shapes.
        """
        edit = bind(self.attachments, step)
        text, times = self.check_inputs(sample, timestep, encoder_hidden_states)
        text = text.cast(self.dtype)
        temb = ops.silu(self.time_embedding(ops.cast(self._embed_time(times), self.dtype)))
        x = self.conv_in(ops.channels_last(sample, self.dtype))
        skips: list[jt.Var] = [x]
        for block in self.down_blocks:
            x, block_skips = block(x, temb, text, edit)
            skips.extend(block_skips)
        x = self.mid_block(x, temb, text, edit)
        for block in self.up_blocks:
            x = block(x, skips, temb, text, edit)
        return ops.channels_first(self.conv_out(self.conv_norm_out(x, silu=True)), "float32")

    def check_inputs(
        self, sample: jt.Var, timestep: Times, text: Union[jt.Var, TextContext]
    ) -> tuple[TextContext, np.ndarray]:
        """The text, and the time of each row (rows,). Raises InputError for what `execute` does not take.

        A text of one row serves all rows of the sample.
        """
        check_shape("UNet", "latents", sample, ("batch", self.config.in_channels, "height", "width"))
        rows = sample.shape[0]
        context = text if isinstance(text, TextContext) else TextContext(text)
        wanted = ((1, rows) if rows > 1 else 1, "tokens", self.config.cross_attention_dim)
        check_shape("UNet", "a text", context.text, wanted, f" for latents {tuple(sample.shape)}")
        return context, check_times("UNet", timestep, rows)

    def _embed_time(self, times: np.ndarray) -> jt.Var:
        """Sinusoids of times (rows,) (arXiv 1706.03762, section 3.5), (rows, channels), in fp32 as in training."""
        half = self.config.block_out_channels[0] // 2
        exponent = np.arange(half, dtype=np.float32) * np.float32(-math.log(10000))
        angles = times[:, None] * np.exp(exponent / np.float32(half - self.config.freq_shift))
        halves = [np.sin(angles), np.cos(angles)]
        return jt.array(np.concatenate(halves[::-1] if self.config.flip_sin_to_cos else halves, axis=1))

    def _number_sites(self) -> tuple[Site, ...]:
        """Number the attention layers in the order of execution and give each its site."""
        top = len(self.config.block_out_channels) - 1
        counts = {False: 0, True: 0}
        sites = []
        for path, module in self.named_modules():
            if isinstance(module, Attention):
                group, *rest = path.split(".")
                level = {"down_blocks": int, "up_blocks": lambda i: top - int(i)}.get(group, lambda _: top)(rest[0])
                module.site = Site(path, counts[module.is_cross], module.heads, module.is_cross, level)
                counts[module.is_cross] += 1
                sites.append(module.site)
        return tuple(sites)


def _get_block(known: dict, name: str) -> type:
    if name not in known:
        raise InputError(f"UNet config: block type {name!r} is not supported, only {', '.join(known)}")
    return known[name]
