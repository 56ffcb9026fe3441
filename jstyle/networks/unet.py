"""The denoising network (arXiv 2112.10752, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, Union

import numpy as np

from jstyle import ops
from jstyle.errors import InputError
from jstyle.networks.adaptable import Adaptable
from jstyle.networks.addition import check_addition, embed_numbers, make_addition, read_added
from jstyle.networks.attention import Attention, TextContext
from jstyle.networks.condition import Condition
from jstyle.networks.config import UNetConfig
from jstyle.networks.editing import Attachment, Site, bind
from jstyle.networks.entry import Array, check_shape, check_times, read_numbers, refuse_arguments
from jstyle.networks.layers import Conv2d, GroupNorm, Linear
from jstyle.networks.network import Kind, Network
from jstyle.networks.outputs import UNetOutput
from jstyle.networks.recompute import recomputed
from jstyle.networks.unet_blocks import DOWN_BLOCKS, UP_BLOCKS, UNetMidBlock2DCrossAttn
from jstyle.ops.precision import unet_dtype
from jstyle.runtime import jt


class TimestepEmbedding(jt.Module):
    """Two linear layers over the sinusoidal embedding of the time."""

    def __init__(self, channels: int, out_channels: int) -> None:
        self.linear_1 = Linear(channels, out_channels)
        self.linear_2 = Linear(out_channels, out_channels)

    def execute(self, x: jt.Var) -> jt.Var:
        """Sinusoids (batch, channels) -> (batch, out_channels)."""
        return self.linear_2(ops.silu(self.linear_1(x)))


class UNet2DConditionModel(Adaptable, Network):
    """Predicts the noise (or the velocity, or the image) in a noisy latent, given the time and a text.

    ``sites`` lists its attention layers; ``attachments`` what ``jstyle.networks.editing.attached`` has put on them.
    """

    kind = Kind("unet", "UNet2DConditionModel", "diffusers", "diffusion_pytorch_model")
    config_class = UNetConfig

    def __init__(self, config: UNetConfig) -> None:
        widths = config.block_out_channels
        levels = range(len(widths))
        self.config = config
        self.conv_in = Conv2d(config.in_channels, widths[0], 3, padding=(1, 1))
        self.time_embedding = TimestepEmbedding(widths[0], 4 * widths[0])
        if config.has_addition:
            self.add_embedding = TimestepEmbedding(config.projection_class_embeddings_input_dim or 0, 4 * widths[0])
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
        self._recompute = False
        self.attachments: tuple[Attachment, ...] = ()
        self.sites: tuple[Site, ...] = self._number_sites()

    @property
    def dtype(self) -> str:
        """The dtype it computes in: ``compute_dtype``, or else that of its weights."""
        return self.compute_dtype or str(self.conv_in.weight.dtype)

    def execute(
        self,
        sample: Array,
        timestep: Any,
        encoder_hidden_states: Union[Array, Condition, TextContext],
        *,
        step: int = 0,
        added_cond_kwargs: Optional[Mapping[str, Any]] = None,
        return_dict: bool = True,
        **others: Any,
    ) -> Union[UNetOutput, tuple[jt.Var]]:
        """sample (batch, in_channels, height, width) -> (batch, out_channels, height, width), always in fp32.

        ``encoder_hidden_states`` is (batch, tokens, cross_attention_dim), or a `Condition`; one `TextContext` passed to
        several calls saves projecting the text again. A UNet of SDXL reads more than a text: what a `Condition` has, or
        diffusers' ``added_cond_kwargs``, ``text_embeds`` (batch, pooled width) and ``time_ids`` (batch, sizes). ``timestep`` is one time for all rows, or one for each, in numbers of any kind.
        ``step`` is announced to the attached editors. ``others`` are diffusers' arguments for other networks, which
        must be None. Raises InputError, before anything is computed, for inputs of other shapes.
        """
        refuse_arguments("UNet", others)
        latents = read_numbers("UNet", "latents", sample)
        condition = read_added(encoder_hidden_states, added_cond_kwargs)
        text, times = self.check_inputs(latents, timestep, condition)
        if self._recompute and not jt.flags.no_grad:
            with recomputed(self, _list_trained(self)):
                output = self.compute(latents, times, text, step)
        else:
            output = self.compute(latents, times, text, step)
        return UNetOutput(output) if return_dict else (output,)

    def compute(self, sample: jt.Var, times: np.ndarray, text: TextContext, step: int) -> jt.Var:
        """The answer to what `execute` takes, for inputs that were checked: times are (rows,)."""
        edit = bind(self.attachments, step)
        text = text.cast(self.dtype)
        sinusoids = embed_numbers(times, self.config.block_out_channels[0], self.config)
        temb = self.time_embedding(ops.cast(sinusoids, self.dtype))
        if self.config.has_addition:
            addition = make_addition(text.condition, sample.shape[2:], self.config)
            temb = temb + self.add_embedding(ops.cast(addition, self.dtype))
        temb = ops.silu(temb)
        x = self.conv_in(ops.channels_last(sample, self.dtype))
        skips: list[jt.Var] = [x]
        for block in self.down_blocks:
            x, block_skips = block(x, temb, text, edit)
            skips.extend(block_skips)
        x = self.mid_block(x, temb, text, edit)
        for block in self.up_blocks:
            x = block(x, skips, temb, text, edit)
        return ops.channels_first(self.conv_out(self.conv_norm_out(x, silu=True)), "float32")

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
        check_shape("UNet", "latents", sample, ("batch", self.config.in_channels, "height", "width"))
        rows = sample.shape[0]
        if not isinstance(text, TextContext):
            text = TextContext(text if isinstance(text, Condition) else read_numbers("UNet", "a text", text))
        context = text
        wanted = ((1, rows) if rows > 1 else 1, "tokens", self.config.cross_attention_dim)
        check_shape("UNet", "a text", context.text, wanted, f" for latents {tuple(sample.shape)}")
        check_addition(context.condition, rows, self.config)
        return context, check_times("UNet", timestep, rows)

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


def _list_trained(unet: UNet2DConditionModel) -> dict[str, jt.Var]:
    return {name: parameter for name, parameter in unet.named_parameters() if not parameter.is_stop_grad()}


def _get_block(known: dict, name: str) -> type:
    if name not in known:
        raise InputError(f"UNet config: block type {name!r} is not supported, only {', '.join(known)}")
    return known[name]
