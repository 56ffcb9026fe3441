"""Configurations of the networks: frozen dataclasses read from diffusers' and transformers' JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

from jstyle.networks.config_reader import (
    NetworkConfig,
    read_diffusers,
    read_fields,
    require_divides,
    require_positive_number,
    require_sizes,
    require_small,
)
from jstyle.settings.fields import later, require
from jstyle.settings.messages import show
from jstyle.settings.vocabulary import LONGEST_SIDE

_MOST_LAYERS = 64  # of a block, or a transformer

# Switches of diffusers' UNet that Stable Diffusion leaves alone. A file that changes one describes a
# network that is not implemented here, and must not load as if it were.
UNET_FIXED: Mapping[str, Any] = {
    "center_input_sample": False,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "only_cross_attention": False,
    "downsample_padding": 1,
    "mid_block_scale_factor": 1,
    "act_fn": "silu",
    "dual_cross_attention": False,
    "resnet_time_scale_shift": "default",
    "resnet_skip_time_act": False,
    "resnet_out_scale_factor": 1.0,
    "time_embedding_type": "positional",
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "attention_type": "default",
    "class_embeddings_concat": False,
    "dropout": Ellipsis,  # acts in training alone; any share is fine
    # Only read together with switches that must stay off.
    "addition_embed_type_num_heads": 64,
}
_UNET_DOWN = ("CrossAttnDownBlock2D", "DownBlock2D")
_UNET_UP = ("CrossAttnUpBlock2D", "UpBlock2D")

_VAE_DOWN = ("DownEncoderBlock2D", "AttnDownEncoderBlock2D")
_VAE_UP = ("UpDecoderBlock2D", "AttnUpDecoderBlock2D")

VAE_FIXED: Mapping[str, Any] = {
    "act_fn": "silu",
    "mid_block_add_attention": True,
    "use_quant_conv": True,
    "use_post_quant_conv": True,
    "shift_factor": None,
    "latents_mean": None,
    "latents_std": None,
    "force_upcast": Ellipsis,  # concerns fp16 only; any value is fine
}


@dataclass(frozen=True)
class EncoderConfig(NetworkConfig):
    """What the UNet's configuration and a ControlNet's have in common, with diffusers' defaults."""

    in_channels: int = 4
    flip_sin_to_cos: bool = True
    freq_shift: int = 0
    down_block_types: tuple[str, ...] = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    layers_per_block: Union[int, tuple[int, ...]] = 2
    norm_num_groups: int = 32
    norm_eps: float = 1e-5
    cross_attention_dim: int = 1280
    attention_head_dim: Union[int, tuple[int, ...]] = 8
    use_linear_projection: bool = False
    upcast_attention: bool = False
    transformer_layers_per_block: Union[int, tuple[int, ...]] = later(1)
    addition_embed_type: Optional[str] = later(None)
    addition_time_embed_dim: Optional[int] = later(None)
    projection_class_embeddings_input_dim: Optional[int] = later(None)

    def __post_init__(self) -> None:
        _check_levels(self, down_block_types=_UNET_DOWN)
        self._check_addition()
        levels = {
            "attention_head_dim": self.heads,
            "layers_per_block": self.layers,
            "transformer_layers_per_block": self.depths,
        }
        for name, values in levels.items():
            require(len(values) == len(self.block_out_channels), f"{name} and block_out_channels differ in length")
        require_sizes(1 << 16, attention_head_dim=self.heads, cross_attention_dim=self.cross_attention_dim)
        require_sizes(_MOST_LAYERS, transformer_layers_per_block=self.depths)
        require_small(norm_eps=self.norm_eps)
        half, rest = divmod(self.block_out_channels[0], 2)
        require(rest == 0, f"the first of block_out_channels must be even, not {2 * half + rest}")
        require(0 <= self.freq_shift < half, f"freq_shift must be from 0 to {half - 1}, not {self.freq_shift}")
        for channels, heads in zip(self.block_out_channels, self.heads):
            require_divides("attention_head_dim", heads, channels)

    @property
    def heads(self) -> tuple[int, ...]:
        """Attention heads per level. diffusers calls their number ``attention_head_dim``."""
        return self._of_each_level(self.attention_head_dim)

    @property
    def layers(self) -> tuple[int, ...]:
        """Resnets per level on the way down; on the way up there is one more."""
        return self._of_each_level(self.layers_per_block)

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks of each transformer per level; the middle has as many as the lowest level."""
        return self._of_each_level(self.transformer_layers_per_block)

    @property
    def has_addition(self) -> bool:
        """Whether a vector of the text and the picture's sizes are added to the time's embedding, as in SDXL."""
        return self.addition_embed_type is not None

    def count_sizes(self, pooled: int) -> int:
        """How many numbers about sizes it reads beside a vector of the text that is ``pooled`` wide.

        Raises ValueError where no number of them fits.
        """
        whole = self.projection_class_embeddings_input_dim or 0
        numbers, rest = divmod(whole - pooled, self.addition_time_embed_dim or 1)
        require(
            rest == 0 and numbers in (5, 6),
            f"projection_class_embeddings_input_dim {whole} is not a text's vector of {pooled} and six sizes, or five, "
            f"of {self.addition_time_embed_dim}",
        )
        return numbers

    def list_skips(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """(channels, height, width) of what the way down leaves for each skip connection, for a latent of that size."""
        skips = [(self.block_out_channels[0], height, width)]
        for level, (channels, layers) in enumerate(zip(self.block_out_channels, self.layers)):
            skips += [(channels, height, width)] * layers
            if level < len(self.block_out_channels) - 1:
                height, width = (height + 1) // 2, (width + 1) // 2
                skips.append((channels, height, width))
        return skips

    def _check_addition(self) -> None:
        kind, each = self.addition_embed_type, self.addition_time_embed_dim
        require(kind in (None, "text_time"), f"addition_embed_type {show(kind)} is not supported, only text_time")
        if kind is None:
            whole = self.projection_class_embeddings_input_dim
            require(whole is None, "projection_class_embeddings_input_dim is for addition_embed_type text_time alone")
            return
        require(each is not None and each % 2 == 0, f"addition_time_embed_dim must be an even number, not {show(each)}")
        require_sizes(1 << 16, least=2, addition_time_embed_dim=each)
        require_sizes(1 << 16, projection_class_embeddings_input_dim=self.projection_class_embeddings_input_dim or 0)

    def _of_each_level(self, value: Union[int, tuple[int, ...]]) -> tuple[int, ...]:
        return (value,) * len(self.block_out_channels) if isinstance(value, int) else value


@dataclass(frozen=True)
class UNetConfig(EncoderConfig):
    """``unet/config.json``, with diffusers' defaults. Raises InputError, when built, for what does not fit together."""

    sample_size: int = 64
    out_channels: int = 4
    up_block_types: tuple[str, ...] = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3
    time_cond_proj_dim: Optional[int] = later(None)
    """How many numbers it reads of the guidance, where that is an input, as LCMs do (arXiv 2310.04378)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        width = self.time_cond_proj_dim
        require(width is None or width >= 4, f"time_cond_proj_dim must be at least 4, not {width}")
        require_sizes(1 << 16, time_cond_proj_dim=width or 4)
        _check_levels(self, up_block_types=_UNET_UP)
        require_sizes(1 << 16, out_channels=self.out_channels)
        require_sizes(LONGEST_SIDE, sample_size=self.sample_size)

    @property
    def reads_guidance(self) -> bool:
        """Whether the guidance is told to it, so that it needs no second half."""
        return self.time_cond_proj_dim is not None

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], place: str = "UNet config") -> UNetConfig:
        """Read diffusers' JSON, which stands at ``place``. Raises InputError for what is wrong or not supported."""
        return read_diffusers(cls, raw, UNET_FIXED, place)


@dataclass(frozen=True)
class ControlNetConfig(EncoderConfig):
    """A ControlNet's ``config.json``, with diffusers' defaults. Raises InputError, when built, like `UNetConfig`."""

    conditioning_embedding_out_channels: tuple[int, ...] = (16, 32, 96, 256)
    """Of the layers that read the map; all but the first halve its height and width."""

    controlnet_conditioning_channel_order: str = "rgb"
    """Whether maps are read as they are, or with red and blue exchanged ("bgr")."""

    global_pool_conditions: bool = False
    """Whether residuals are averaged over their height and width."""

    def __post_init__(self) -> None:
        super().__post_init__()
        widths = self.conditioning_embedding_out_channels
        require(1 <= len(widths) <= 8, f"conditioning_embedding_out_channels must be from 1 to 8, not {len(widths)}")
        require_sizes(1 << 16, conditioning_embedding_out_channels=widths)
        order = self.controlnet_conditioning_channel_order
        require(order in ("rgb", "bgr"), f"controlnet_conditioning_channel_order must be rgb or bgr, not {show(order)}")

    @property
    def factor(self) -> int:
        """Pixels of the map per position of the latent, along one side."""
        return 2 ** (len(self.conditioning_embedding_out_channels) - 1)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], place: str = "ControlNet config") -> ControlNetConfig:
        """Read diffusers' JSON, which stands at ``place``. Raises InputError for what is wrong or not supported."""
        return read_diffusers(cls, raw, {**UNET_FIXED, "conditioning_channels": 3}, place)


@dataclass(frozen=True)
class VAEConfig(NetworkConfig):
    """``vae/config.json``, with diffusers' defaults. Raises InputError, when built, for what does not fit together."""

    in_channels: int = 3
    out_channels: int = 3
    down_block_types: tuple[str, ...] = ("DownEncoderBlock2D",)
    up_block_types: tuple[str, ...] = ("UpDecoderBlock2D",)
    block_out_channels: tuple[int, ...] = (64,)
    layers_per_block: int = 1
    latent_channels: int = 4
    norm_num_groups: int = 32
    sample_size: int = 32
    scaling_factor: float = 0.18215

    def __post_init__(self) -> None:
        _check_levels(self, down_block_types=_VAE_DOWN, up_block_types=_VAE_UP)
        require_sizes(1 << 16, out_channels=self.out_channels)
        require_sizes(LONGEST_SIDE, sample_size=self.sample_size)
        require_sizes(1 << 16, latent_channels=self.latent_channels)
        require_positive_number("scaling_factor", self.scaling_factor)
        require(self.sample_size >= self.factor, f"sample_size must be at least {self.factor}, not {self.sample_size}")

    @property
    def factor(self) -> int:
        """Pixels per position of the latent, along one side."""
        return 2 ** (len(self.block_out_channels) - 1)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], place: str = "VAE config") -> VAEConfig:
        """Read diffusers' JSON, which stands at ``place``. Raises InputError for what is wrong or not supported."""
        return read_diffusers(cls, raw, VAE_FIXED, place)


@dataclass(frozen=True)
class CLIPTextConfig(NetworkConfig):
    """``text_encoder/config.json``, with transformers' defaults. Raises InputError, when built, like `UNetConfig`."""

    vocab_size: int = 49408
    hidden_size: int = 512
    intermediate_size: int = 2048
    projection_dim: int = 512
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    max_position_embeddings: int = 77
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    bos_token_id: int = 49406
    eos_token_id: int = 49407
    pad_token_id: Optional[int] = 1

    def __post_init__(self) -> None:
        _check_transformer(self)
        require_sizes(vocab_size=self.vocab_size, max_position_embeddings=self.max_position_embeddings)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], place: str = "text encoder config") -> CLIPTextConfig:
        """Read the keys above; transformers' files carry dozens of others that do not concern the network."""
        return read_fields(cls, raw, place)


@dataclass(frozen=True)
class CLIPVisionConfig(NetworkConfig):
    """``image_encoder/config.json``, with transformers' defaults. Raises InputError, when built, like `UNetConfig`."""

    hidden_size: int = 768
    intermediate_size: int = 3072
    projection_dim: int = 512
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    num_channels: int = 3
    image_size: int = 224
    patch_size: int = 32
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        _check_transformer(self)
        require_sizes(LONGEST_SIDE, image_size=self.image_size, patch_size=self.patch_size)
        require_sizes(1 << 10, num_channels=self.num_channels)
        require(
            self.image_size % self.patch_size == 0,
            f"image_size {self.image_size} does not divide into patches of {self.patch_size}",
        )

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], place: str = "image encoder config") -> CLIPVisionConfig:
        """Read the keys above; transformers' files carry dozens of others that do not concern the network."""
        return read_fields(cls, raw, place)


def _check_levels(config: Union[EncoderConfig, VAEConfig], **block_types: tuple[str, ...]) -> None:
    """Look at the levels of a network; ``block_types`` are the types that its blocks may have, by the field's name."""
    levels = len(config.block_out_channels)
    require(1 <= levels <= 8, f"block_out_channels must have from 1 to 8 levels, not {levels}")
    for name, known in block_types.items():
        types = getattr(config, name)
        require(len(types) == levels, f"{name} and block_out_channels differ in length")
        unknown = next((kind for kind in types if kind not in known), None)
        require(unknown is None, f"{name}: {show(unknown)} is not supported, only {', '.join(known)}")
    require_sizes(1 << 16, block_out_channels=config.block_out_channels, in_channels=config.in_channels)
    require_sizes(1 << 16, norm_num_groups=config.norm_num_groups)
    require_sizes(_MOST_LAYERS, layers_per_block=config.layers_per_block)
    require_divides("norm_num_groups", config.norm_num_groups, *config.block_out_channels)


def _check_transformer(config: Union[CLIPTextConfig, CLIPVisionConfig]) -> None:
    require(config.hidden_act in ("gelu", "quick_gelu"), f"hidden_act {show(config.hidden_act)} is not supported")
    require_sizes(1 << 16, hidden_size=config.hidden_size, num_attention_heads=config.num_attention_heads)
    require_sizes(1 << 18, intermediate_size=config.intermediate_size, projection_dim=config.projection_dim)
    require_sizes(_MOST_LAYERS, num_hidden_layers=config.num_hidden_layers)
    require_divides("num_attention_heads", config.num_attention_heads, config.hidden_size)
    require_small(layer_norm_eps=config.layer_norm_eps)
