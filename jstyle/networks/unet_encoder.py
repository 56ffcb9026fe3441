"""What the UNet and a ControlNet share: the way down and the middle, under a time and a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Optional, Union

import numpy as np

from jstyle import ops
from jstyle.errors import InputError
from jstyle.networks.adaptable import Adaptable
from jstyle.networks.addition import check_addition, embed_numbers, make_addition
from jstyle.networks.attention import Attention, TextContext
from jstyle.networks.condition import Condition, Size
from jstyle.networks.config import EncoderConfig
from jstyle.networks.editing import Attachment, Edit, Site
from jstyle.networks.entry import Array, check_shape, check_times, read_numbers
from jstyle.networks.layers import Conv2d, Linear
from jstyle.networks.network import Network
from jstyle.networks.unet_blocks import DOWN_BLOCKS, UNetMidBlock2DCrossAttn
from jstyle.ops.precision import unet_dtype
from jstyle.runtime import jt


class TimestepEmbedding(jt.Module):
    """Two linear layers over the sinusoidal embedding of the time.

    A UNet that reads the guidance has a ``cond_proj`` before them.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        self.linear_1 = Linear(channels, out_channels)
        self.linear_2 = Linear(out_channels, out_channels)

    def execute(self, x: jt.Var, guidance: Optional[jt.Var] = None) -> jt.Var:
        """Sinusoids of times (batch, channels), and of the guidance (1 or batch, width) -> (batch, out_channels)."""
        if guidance is not None:
            x = x + self.cond_proj(guidance)
        return self.linear_2(ops.silu(self.linear_1(x)))


@dataclass(frozen=True)
class Encoded:
    """What the way down and the middle make of a latent: maps (batch, height, width, channels)."""

    middle: jt.Var
    skips: list[jt.Var]
    """For the skip connections, the first of them straight from ``conv_in``."""

    temb: jt.Var
    """The time's embedding after its silu, (batch, channels)."""


class Encoder(Adaptable, Network):
    """The half of a UNet that reads a latent.

    ``sites`` lists its attention layers; ``attachments`` what ``jstyle.networks.editing.attached`` has put on them.
    """

    title: ClassVar[str]
    """As messages name the network."""

    def __init__(self, config: EncoderConfig) -> None:
        widths = config.block_out_channels
        self.config = config
        self.conv_in = Conv2d(config.in_channels, widths[0], 3, padding=(1, 1))
        self.time_embedding = TimestepEmbedding(widths[0], 4 * widths[0])
        if config.has_addition:
            self.add_embedding = TimestepEmbedding(config.projection_class_embeddings_input_dim or 0, 4 * widths[0])
        self.down_blocks = jt.nn.ModuleList(
            [get_block(DOWN_BLOCKS, name)(config, level) for level, name in enumerate(config.down_block_types)]
        )
        self.mid_block = UNetMidBlock2DCrossAttn(config)
        self.compute_dtype: Optional[str] = None
        self._recompute = False
        self.attachments: tuple[Attachment, ...] = ()
        self.sites: tuple[Site, ...] = ()

    @property
    def dtype(self) -> str:
        """The dtype it computes in: ``compute_dtype``, or else that of its weights."""
        return self.compute_dtype or str(self.conv_in.weight.dtype)

    def encode(
        self,
        sample: jt.Var,
        times: np.ndarray,
        text: TextContext,
        edit: Optional[Edit],
        shown: Optional[jt.Var] = None,
    ) -> Encoded:
        """From a latent (batch, in_channels, height, width) down to the middle, at times (batch,) under a text.

        ``shown`` (batch, height, width, channels) is added to what ``conv_in`` makes of the latent.
        """
        text = text.cast(self.dtype)
        temb = self._embed_time(times, text.condition, (sample.shape[2], sample.shape[3]))
        x = self.conv_in(ops.channels_last(sample, self.dtype))
        x = x if shown is None else ops.add(x, shown)
        skips: list[jt.Var] = [x]
        for block in self.down_blocks:
            x, block_skips = block(x, temb, text, edit)
            skips.extend(block_skips)
        return Encoded(self.mid_block(x, temb, text, edit), skips, temb)

    def enable_gradient_checkpointing(self) -> None:
        """Keep only the blocks' inputs for the backward pass, and compute the blocks again in it."""
        self._recompute = True

    def disable_gradient_checkpointing(self) -> None:
        """Keep what is inside the blocks for the backward pass."""
        self._recompute = False

    def set_precision(self, precision: str) -> None:
        """Compute in "fp32", "bf16" or "fp16", with weights of that kind, which are rounded to it.

        Raises InputError for a precision that is unknown or in which this machine cannot compute.
        """
        dtype = unet_dtype(precision)
        for parameter in self.parameters():
            is_trained = not parameter.is_stop_grad()
            with jt.no_grad():
                parameter.assign(ops.cast(parameter, dtype))
            if is_trained:
                parameter.start_grad()

    def check_inputs(
        self, sample: jt.Var, timestep: Any, text: Union[Array, Condition, TextContext]
    ) -> tuple[TextContext, np.ndarray]:
        """The text, and the time of each row (rows,). Raises InputError for what `execute` does not take.

        A text of one row serves all rows of the sample.
        """
        check_shape(self.title, "latents", sample, ("batch", self.config.in_channels, "height", "width"))
        rows = sample.shape[0]
        if not isinstance(text, TextContext):
            text = TextContext(text if isinstance(text, Condition) else read_numbers(self.title, "a text", text))
        context = text
        wanted = ((1, rows) if rows > 1 else 1, "tokens", self.config.cross_attention_dim)
        check_shape(self.title, "a text", context.text, wanted, f" for latents {tuple(sample.shape)}")
        check_addition(context.condition, rows, self.config)
        return context, check_times(self.title, timestep, rows)

    def list_trained(self) -> dict[str, jt.Var]:
        """The parameters that gradients are asked for, by name."""
        return {name: parameter for name, parameter in self.named_parameters() if not parameter.is_stop_grad()}

    def _embed_time(self, times: np.ndarray, condition: Condition, size: Size) -> jt.Var:
        """The embedding of times (rows,), and of what stands beside a text, after its silu, (rows, channels)."""
        sinusoids = embed_numbers(times, self.config.block_out_channels[0], self.config)
        read = self.list_read(condition)
        temb = self.time_embedding(ops.cast(sinusoids, self.dtype), *(ops.cast(one, self.dtype) for one in read))
        if self.config.has_addition:
            temb = temb + self.add_embedding(make_addition(condition, size, self.config, self.dtype))
        return ops.silu(temb)

    def list_read(self, condition: Condition) -> list[jt.Var]:
        """What it reads with the time's sinusoids."""
        return []

    def number_sites(self) -> tuple[Site, ...]:
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


def get_block(known: Mapping[str, Any], name: str) -> Any:
    """The class of blocks of that name. Raises InputError for one that is not here."""
    if name not in known:
        raise InputError(f"UNet config: block type {name!r} is not supported, only {', '.join(known)}")
    return known[name]
