"""The denoising network (arXiv 2112.10752, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Optional, Union

import numpy as np

from jstyle import ops
from jstyle.errors import InputError
from jstyle.networks.addition import check_guidance, read_added, read_guidance
from jstyle.networks.attention import TextContext
from jstyle.networks.condition import Condition
from jstyle.networks.config import UNetConfig
from jstyle.networks.editing import bind
from jstyle.networks.entry import Array, check_shape, read_numbers, refuse_arguments
from jstyle.networks.layers import Conv2d, GroupNorm, Linear
from jstyle.networks.network import Kind
from jstyle.networks.outputs import ControlNetOutput, UNetOutput
from jstyle.networks.recompute import recomputed
from jstyle.networks.single_file import FromSingleFile
from jstyle.networks.unet_blocks import UP_BLOCKS
from jstyle.networks.unet_encoder import Encoder, get_block
from jstyle.runtime import jt
from jstyle.settings.arguments import list_arguments


class UNet2DConditionModel(FromSingleFile, Encoder):
    """Predicts the noise (or the velocity, or the image) in a noisy latent, given the time and a text.

    ``sites`` lists its attention layers; ``attachments`` what ``jstyle.networks.editing.attached`` has put on them.
    """

    kind = Kind("unet", "UNet2DConditionModel", "diffusers", "diffusion_pytorch_model")
    config_class = UNetConfig
    title = "UNet"
    config: UNetConfig
    takes_residuals: ClassVar[bool] = True
    """Whether a ControlNet can steer it."""

    def __init__(self, config: Any = None, **named: Any) -> None:
        """By a configuration, or diffusers' values by name. Raises InputError for what is wrong or not supported."""
        config = self.read_config(config, named)
        super().__init__(config)
        widths = config.block_out_channels
        levels = reversed(range(len(widths)))
        self.up_blocks = jt.nn.ModuleList(
            [get_block(UP_BLOCKS, name)(config, level) for name, level in zip(config.up_block_types, levels)]
        )
        if config.time_cond_proj_dim is not None:
            self.time_embedding.cond_proj = Linear(config.time_cond_proj_dim, widths[0], bias=False)
        self.conv_norm_out = GroupNorm(config.norm_num_groups, widths[0], config.norm_eps)
        self.conv_out = Conv2d(widths[0], config.out_channels, 3, padding=(1, 1))
        self.sites = self.number_sites()

    def execute(
        self,
        sample: Array,
        timestep: Any,
        encoder_hidden_states: Union[Array, Condition, TextContext],
        *,
        step: int = 0,
        added_cond_kwargs: Optional[Mapping[str, Any]] = None,
        timestep_cond: Optional[Array] = None,
        down_block_additional_residuals: Optional[Sequence[Array]] = None,
        mid_block_additional_residual: Optional[Array] = None,
        return_dict: bool = True,
        **others: Any,
    ) -> Union[UNetOutput, tuple[jt.Var]]:
        """sample (batch, in_channels, height, width) -> (batch, out_channels, height, width), always in fp32.

        ``encoder_hidden_states`` is (batch, tokens, cross_attention_dim), or a `Condition`; one `TextContext` passed to
        several calls saves projecting the text again. A UNet of SDXL reads more than a text: what a `Condition` has, or
        diffusers' ``added_cond_kwargs``, ``text_embeds`` (batch, pooled width) and ``time_ids`` (batch, sizes).
        ``timestep_cond`` (1 or batch, time_cond_proj_dim) is what `embed_guidance` makes of the guidance, for a UNet
        that reads it. ``timestep`` is one time for all rows, or one for each, in numbers of any kind.
        ``step`` is announced to the attached editors. The residuals are what `ControlNetModel` answers: they are added
        to the skip connections and to what the middle makes. ``others`` are diffusers' arguments for other networks,
        which must be None. Raises InputError, before anything is computed, for inputs of other shapes.
        """
        refuse_arguments("UNet", others, list_arguments(self.execute))
        latents = read_numbers("UNet", "latents", sample)
        condition = read_guidance(read_added(encoder_hidden_states, added_cond_kwargs), timestep_cond)
        text, times = self.check_inputs(latents, timestep, condition)
        check_guidance(text.condition, latents.shape[0], self.config.time_cond_proj_dim)
        residuals = self._read_residuals(latents, down_block_additional_residuals, mid_block_additional_residual)
        if self._recompute and not jt.flags.no_grad:
            with recomputed(self, self.list_trained()):
                output = self.compute(latents, times, text, step, residuals)
        else:
            output = self.compute(latents, times, text, step, residuals)
        return UNetOutput(output) if return_dict else (output,)

    def list_read(self, condition: Condition) -> list[jt.Var]:
        """The guidance, where it reads that and is told."""
        return [] if condition.guidance is None else [condition.guidance]

    def compute(
        self,
        sample: jt.Var,
        times: np.ndarray,
        text: TextContext,
        step: int,
        residuals: Optional[ControlNetOutput] = None,
    ) -> jt.Var:
        """The answer to what `execute` takes, for inputs that were checked: times are (rows,)."""
        edit = bind(self.attachments, step)
        encoded = self.encode(sample, times, text, edit)
        x, skips = encoded.middle, encoded.skips
        if residuals is not None:
            x = _add_residual(x, residuals.mid_block_res_sample)
            skips = [_add_residual(*pair) for pair in zip(skips, residuals.down_block_res_samples)]
        for block in self.up_blocks:
            x = block(x, skips, encoded.temb, text, edit)
        return ops.channels_first(self.conv_out(self.conv_norm_out(x, silu=True)), "float32")

    def _read_residuals(
        self, latents: jt.Var, down: Optional[Sequence[Array]], middle: Optional[Array]
    ) -> Optional[ControlNetOutput]:
        """What is added to the maps. Raises InputError where there are others, or of other shapes."""
        if down is None and middle is None:
            return None
        skips = self.config.list_skips(*latents.shape[2:])
        maps = [*skips, skips[-1]]
        given = None if down is None or middle is None else [*down, middle]
        if given is None or len(given) != len(maps):
            count = f"{len(skips)} residuals on the way down and one of the middle"
            shown = "none" if down is None else str(len(down))
            raise InputError(f"UNet: wanted {count}, got {shown} and {'none' if middle is None else 'one'}")
        read = [read_numbers("UNet", "a residual", one) for one in given]
        for one, (channels, height, width) in zip(read, maps):
            wanted = (latents.shape[0], channels, (height, 1), (width, 1))
            check_shape("UNet", "a residual", one, wanted, f" for latents {tuple(latents.shape)}")
        return ControlNetOutput(tuple(read[:-1]), read[-1])


def _add_residual(x: jt.Var, residual: jt.Var) -> jt.Var:
    """x (batch, height, width, channels) with a residual (batch, channels, height, width or 1 and 1) added."""
    added = ops.channels_last(residual, str(x.dtype))
    return ops.add(x, added if added.shape == x.shape else added.broadcast(x.shape))
