"""ControlNet (arXiv 2302.05543): a copy of the UNet's way down that reads a map too and steers the UNet by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from jstyle import ops
from jstyle.errors import InputError
from jstyle.networks.addition import read_added
from jstyle.networks.attention import TextContext
from jstyle.networks.condition import Condition
from jstyle.networks.config import ControlNetConfig, EncoderConfig
from jstyle.networks.editing import bind
from jstyle.networks.entry import Array, check_shape, read_finite, read_numbers, refuse_arguments
from jstyle.networks.initial import initialise, set_values
from jstyle.networks.layers import Conv2d
from jstyle.networks.network import Kind
from jstyle.networks.outputs import ControlNetOutput
from jstyle.networks.recompute import recomputed
from jstyle.networks.unet import UNet2DConditionModel
from jstyle.networks.unet_encoder import Encoder
from jstyle.runtime import jt
from jstyle.settings.arguments import list_arguments, read_number, read_whole, read_yes
from jstyle.table import load_attribute

_EMBEDDING = "controlnet_cond_embedding"
_GUESS = 0.1  # of the finest skip's residual, in guess mode; the middle keeps its own


class ControlNetConditioningEmbedding(jt.Module):
    """Convolutions from a map in pixels to the size and width of what the UNet's ``conv_in`` makes."""

    def __init__(self, widths: Sequence[int], out_channels: int) -> None:
        self.conv_in = Conv2d(3, widths[0], 3, padding=(1, 1))
        blocks = []
        for narrow, wide in zip(widths, widths[1:]):
            blocks += [Conv2d(narrow, narrow, 3, padding=(1, 1)), Conv2d(narrow, wide, 3, stride=2, padding=(1, 1))]
        self.blocks = jt.nn.ModuleList(blocks)
        self.conv_out = Conv2d(widths[-1], out_channels, 3, padding=(1, 1))

    def execute(self, x: jt.Var) -> jt.Var:
        """A map (batch, height, width, 3) -> (batch, height / factor, width / factor, out_channels)."""
        x = ops.silu(self.conv_in(x))
        for block in self.blocks:
            x = ops.silu(block(x))
        return self.conv_out(x)


class ControlNetModel(Encoder):
    """From a noisy latent, a time, a text and a map to what is added to the UNet's skips and middle.

    >>> import jstyle
    >>> pipe = jstyle.StableDiffusionPipeline.from_pretrained("tiny")
    >>> net = jstyle.ControlNetModel.from_unet(pipe.unet)  # one to be taught: it changes nothing yet
    """

    kind = Kind("controlnet", "ControlNetModel", "diffusers", "diffusion_pytorch_model")
    config_class = ControlNetConfig
    title = "ControlNet"
    config: ControlNetConfig

    def __init__(self, config: Any = None, **named: Any) -> None:
        """By a configuration, or diffusers' values by name. Raises InputError for what is wrong or not supported."""
        config = self.read_config(config, named)
        super().__init__(config)
        widths = config.block_out_channels
        self.controlnet_cond_embedding = ControlNetConditioningEmbedding(
            config.conditioning_embedding_out_channels, widths[0]
        )
        skips = [channels for channels, _, _ in config.list_skips(1, 1)]
        self.controlnet_down_blocks = jt.nn.ModuleList([Conv2d(n, n, 1) for n in skips])
        self.controlnet_mid_block = Conv2d(widths[-1], widths[-1], 1)
        self.sites = self.number_sites()

    @classmethod
    def from_unet(
        cls,
        unet: UNet2DConditionModel,
        controlnet_conditioning_channel_order: str = "rgb",
        conditioning_embedding_out_channels: Sequence[int] = (16, 32, 96, 256),
        load_weights_from_unet: bool = True,
        *,
        seed: int = 0,
    ) -> ControlNetModel:
        """A net to be taught, with the UNet's own weights; until it is, all that it answers is zeros (section 3.1).

        ``seed`` decides what the layers that read the map start from. Raises InputError for wrong values.
        """
        if not isinstance(unet, UNet2DConditionModel):
            raise InputError(f"ControlNetModel.from_unet: wanted a UNet2DConditionModel, got {type(unet).__name__}")
        read_yes("ControlNetModel.from_unet: load_weights_from_unet", load_weights_from_unet)
        seed = read_whole("ControlNetModel.from_unet: seed", seed, most=(1 << 64) - 1)
        shared = {field.name: getattr(unet.config, field.name) for field in fields(EncoderConfig)}
        net = cls(
            ControlNetConfig.from_dict(
                {
                    **shared,
                    "controlnet_conditioning_channel_order": controlnet_conditioning_channel_order,
                    "conditioning_embedding_out_channels": conditioning_embedding_out_channels,
                },
                "ControlNetModel.from_unet",
            )
        )
        zero = [f"{_EMBEDDING}.conv_out", "controlnet_mid_block"]
        zero += [f"controlnet_down_blocks.{i}" for i, _ in enumerate(net.controlnet_down_blocks)]
        initialise(net, seed, zero=zero)
        if load_weights_from_unet:
            weights = dict(unet.named_parameters())
            for name, parameter in net.named_parameters():
                if not name.startswith("controlnet_"):
                    set_values(parameter, ops.cast(weights[name], "float32").numpy())
        return net

    @classmethod
    def from_single_file(
        cls,
        pretrained_model_link_or_path: Union[str, Path],
        *,
        config: Optional[Union[str, Path]] = None,
        torch_dtype: Any = None,
        dtype: Any = None,
    ) -> ControlNetModel:
        """Load a net in one safetensors file, under the original code's names (control_v11p_sd15_canny) or diffusers'.

        It is a file, `owner/name/FILE.safetensors` of the hub, or its address there. ``config`` is the folder or hub id
        whose config.json describes it; nets of Stable Diffusion 1.x and 2.x are known without. Raises InputError, one
        line, for a file that is damaged, a pickle, or of another kind.
        """
        locate = load_attribute("jstyle.weights.control_files:locate_net")
        net = cls.from_files(locate(str(pretrained_model_link_or_path), None if config is None else str(config)))
        for named in (torch_dtype, dtype):
            if named is not None:
                net.to(named)
        return net

    @classmethod
    def from_files(cls, files: Any, dtype: str = "float32") -> ControlNetModel:
        """The net that was located (`jstyle.weights.control_files.NetFiles`), with its weights in ``dtype``."""
        net = cls(files.config)
        net.fill(files.stored, dtype)
        return net

    def execute(
        self,
        sample: Array,
        timestep: Any,
        encoder_hidden_states: Union[Array, Condition, TextContext],
        controlnet_cond: Array,
        conditioning_scale: float = 1.0,
        *,
        guess_mode: bool = False,
        step: int = 0,
        added_cond_kwargs: Optional[Mapping[str, Any]] = None,
        return_dict: bool = True,
        **others: Any,
    ) -> Union[ControlNetOutput, tuple[Any, ...]]:
        """The residuals for a UNet, in fp32, times ``conditioning_scale``.

        sample (batch, in_channels, height, width), time and text are the UNet's; ``controlnet_cond`` (batch or 1, 3,
        height * factor, width * factor) is the map, in [0, 1]. ``guess_mode`` weakens residuals towards the finest
        maps. Raises InputError, before anything is computed, for inputs of other shapes or kinds, and for maps that are
        not finite.
        """
        refuse_arguments("ControlNet", others, list_arguments(self.execute))
        scale = read_number("ControlNet: conditioning_scale", conditioning_scale, -np.inf, np.inf)
        scales = self._list_scales(scale, read_yes("ControlNet: guess_mode", guess_mode))
        step = read_whole("ControlNet: step", step)
        latents = read_numbers("ControlNet", "latents", sample)
        condition = read_added(encoder_hidden_states, added_cond_kwargs)
        text, times = self.check_inputs(latents, timestep, condition)
        shown = read_finite("ControlNet", "a map", controlnet_cond)
        self.check_map(shown, latents)
        if self._recompute and not jt.flags.no_grad:
            with recomputed(self, self.list_trained()):
                output = self.compute(latents, times, text, shown, scales, step)
        else:
            output = self.compute(latents, times, text, shown, scales, step)
        return output if return_dict else (output.down_block_res_samples, output.mid_block_res_sample)

    def compute(
        self, sample: jt.Var, times: np.ndarray, text: TextContext, shown: jt.Var, scales: Sequence[float], step: int
    ) -> ControlNetOutput:
        """The answer to what `execute` takes, for inputs that were checked; a factor for each of the residuals."""
        if self.config.controlnet_conditioning_channel_order == "bgr":
            shown = shown[:, [2, 1, 0]]
        read = self.controlnet_cond_embedding(ops.channels_last(shown, self.dtype))
        if read.shape[0] != sample.shape[0]:
            read = read.broadcast((sample.shape[0], *read.shape[1:]))
        encoded = self.encode(sample, times, text, bind(self.attachments, step), read)
        layers = [*self.controlnet_down_blocks, self.controlnet_mid_block]
        maps = [layer(x) for layer, x in zip(layers, [*encoded.skips, encoded.middle])]
        residuals = [self._finish(x, scale) for x, scale in zip(maps, scales)]
        return ControlNetOutput(tuple(residuals[:-1]), residuals[-1])

    def check_map(self, shown: jt.Var, latents: jt.Var) -> None:
        """Raise InputError for a map that does not belong to latents of that shape."""
        rows, _, height, width = latents.shape
        factor = self.config.factor
        wanted = ((1, rows) if rows > 1 else 1, 3, height * factor, width * factor)
        check_shape("ControlNet", "a map", shown, wanted, f" for latents {tuple(latents.shape)}")

    def _list_scales(self, scale: float, guess_mode: bool) -> list[float]:
        """The factor of each residual, the middle's last."""
        count = len(self.controlnet_down_blocks) + 1
        if not guess_mode or self.config.global_pool_conditions:
            return [scale] * count
        return [float(share) * scale for share in np.geomspace(_GUESS, 1.0, count)]

    def _finish(self, x: jt.Var, scale: float) -> jt.Var:
        """A residual in diffusers' layout, (batch, channels, height, width)."""
        x = ops.channels_first(x, "float32")
        x = x if scale == 1 else x * scale
        return x.mean(dims=(2, 3), keepdims=True) if self.config.global_pool_conditions else x
