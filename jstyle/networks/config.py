"""Configurations of the networks: frozen dataclasses read from diffusers' and transformers' JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Optional, TypeVar, Union

from jstyle.errors import InputError

Config = TypeVar("Config")

# Switches of diffusers' UNet that Stable Diffusion leaves alone. A file that changes one describes a
# network that is not implemented here, and must not load as if it were.
UNET_FIXED: Mapping[str, Any] = {
    "center_input_sample": False,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "only_cross_attention": False,
    "downsample_padding": 1,
    "mid_block_scale_factor": 1,
    "act_fn": "silu",
    "transformer_layers_per_block": 1,
    "dual_cross_attention": False,
    "resnet_time_scale_shift": "default",
    "resnet_skip_time_act": False,
    "resnet_out_scale_factor": 1.0,
    "time_embedding_type": "positional",
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "attention_type": "default",
    "class_embeddings_concat": False,
    "dropout": 0.0,
    # Only read together with switches that must stay off.
    "addition_embed_type_num_heads": 64,
}
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
class UNetConfig:
    """``unet/config.json``, with diffusers' defaults. Raises InputError, when built, for what does not fit together."""

    sample_size: int = 64
    in_channels: int = 4
    out_channels: int = 4
    flip_sin_to_cos: bool = True
    freq_shift: int = 0
    down_block_types: tuple[str, ...] = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
    up_block_types: tuple[str, ...] = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    layers_per_block: int = 2
    norm_num_groups: int = 32
    norm_eps: float = 1e-5
    cross_attention_dim: int = 1280
    attention_head_dim: Union[int, tuple[int, ...]] = 8
    use_linear_projection: bool = False
    upcast_attention: bool = False

    def __post_init__(self) -> None:
        _check_levels(self)
        _require(
            len(self.heads) == len(self.block_out_channels),
            "attention_head_dim and block_out_channels differ in length",
        )
        for channels, heads in zip(self.block_out_channels, self.heads):
            _require(channels % heads == 0, f"{channels} channels do not divide into {heads} heads")
            _require(
                channels % self.norm_num_groups == 0,
                f"{channels} channels do not divide into {self.norm_num_groups} norm groups",
            )

    @property
    def heads(self) -> tuple[int, ...]:
        """Attention heads per level. diffusers calls their number ``attention_head_dim``."""
        value = self.attention_head_dim
        return (value,) * len(self.block_out_channels) if isinstance(value, int) else value

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> UNetConfig:
        """Read diffusers' JSON. Raises InputError for a switch that Stable Diffusion does not use, naming it."""
        return _read_diffusers(cls, raw, UNET_FIXED, "UNet config")


@dataclass(frozen=True)
class VAEConfig:
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
        _check_levels(self)
        _require(set(self.down_block_types) == {"DownEncoderBlock2D"}, "only DownEncoderBlock2D is supported")
        _require(set(self.up_block_types) == {"UpDecoderBlock2D"}, "only UpDecoderBlock2D is supported")

    @property
    def factor(self) -> int:
        """Pixels per position of the latent, along one side."""
        return 2 ** (len(self.block_out_channels) - 1)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> VAEConfig:
        """Read diffusers' JSON. Raises InputError for a switch that Stable Diffusion does not use, naming it."""
        return _read_diffusers(cls, raw, VAE_FIXED, "VAE config")


@dataclass(frozen=True)
class CLIPTextConfig:
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
        _check_transformer(self.hidden_act, self.hidden_size, self.num_attention_heads)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> CLIPTextConfig:
        """Read the keys above; transformers' files carry dozens of others that do not concern the network."""
        return _build(cls, raw, "text encoder config")


@dataclass(frozen=True)
class CLIPVisionConfig:
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
        _check_transformer(self.hidden_act, self.hidden_size, self.num_attention_heads)
        _require(
            self.image_size % self.patch_size == 0,
            f"image_size {self.image_size} does not divide into patches of {self.patch_size}",
        )

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> CLIPVisionConfig:
        """Read the keys above; transformers' files carry dozens of others that do not concern the network."""
        return _build(cls, raw, "image encoder config")


def read_json(path: Path) -> dict:
    """The object in a JSON file. Raises InputError, naming the file, when it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing; is this a diffusers model folder?") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); fetch the model again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} does not hold a JSON object; fetch the model again")
    return content


def to_dict(config: Any, class_name: str) -> dict:
    """The JSON object of a configuration, as diffusers writes it."""
    return {"_class_name": class_name, "_diffusers_version": "0.26.0", **asdict(config)}


def _read_diffusers(cls: type[Config], raw: Mapping[str, Any], fixed: Mapping[str, Any], what: str) -> Config:
    """A configuration from JSON that has no other keys than its fields and switches in their fixed positions."""
    names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    for key, value in raw.items():
        if key in names or key.startswith("_"):
            continue
        allowed = fixed.get(key, value if value in (None, False) else None)
        if allowed is not Ellipsis and value != allowed:
            raise InputError(f"{what}: {key} = {value!r} is not supported; only Stable Diffusion 1.x and 2.x load here")
    return _build(cls, raw, what)


def _build(cls: type[Config], raw: Mapping[str, Any], what: str) -> Config:
    """A configuration from those keys of ``raw`` that are its fields."""
    names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items() if key in names}
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what}: {error}") from None


def _check_levels(config: Union[UNetConfig, VAEConfig]) -> None:
    levels = len(config.block_out_channels)
    _require(len(config.down_block_types) == levels, "down_block_types and block_out_channels differ in length")
    _require(len(config.up_block_types) == levels, "up_block_types and block_out_channels differ in length")


def _check_transformer(activation: str, width: int, heads: int) -> None:
    _require(activation in ("gelu", "quick_gelu"), f"hidden_act {activation!r} is not supported")
    _require(width % heads == 0, f"hidden_size {width} does not divide into {heads} heads")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)
