"""Tiny Stable Diffusion networks that the recorder and the parity tests share: configurations and weights by name.

`SD1` and `SD2` have the structure of Stable Diffusion 1.x and 2.1, with few channels. Each holds the `unet`, `vae` and
`text` configurations in the JSON form of diffusers and transformers. Weights are not stored: both sides make the same
numbers with `seeded_tensor` from a parameter's name in the Hugging Face checkpoint and its shape. For the text encoder
that name has the prefix `text_model.`, as in the checkpoints on the Hugging Face hub.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

Config = dict[str, Any]

VOCAB_SIZE = 576
"""256 bytes, 256 bytes that end a word, 62 merges, <|startoftext|> and <|endoftext|>."""


def unet_config(channels: Sequence[int], heads: Any, context_dim: int, groups: int, linear: bool) -> Config:
    """A `unet/config.json` of four levels, cross-attention in all but the lowest, two resnets a level."""
    return {
        "_class_name": "UNet2DConditionModel",
        "act_fn": "silu",
        "attention_head_dim": heads,
        "block_out_channels": list(channels),
        "center_input_sample": False,
        "cross_attention_dim": context_dim,
        "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        "downsample_padding": 1,
        "dual_cross_attention": False,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "in_channels": 4,
        "layers_per_block": 2,
        "mid_block_scale_factor": 1,
        "norm_eps": 1e-05,
        "norm_num_groups": groups,
        "num_class_embeds": None,
        "only_cross_attention": False,
        "out_channels": 4,
        "sample_size": 16,
        "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
        "upcast_attention": linear,
        "use_linear_projection": linear,
    }


def vae_config(channels: Sequence[int], groups: int, layers: int = 2) -> Config:
    """A `vae/config.json`; the image is 2 ** (levels - 1) times as large as the latent."""
    levels = len(channels)
    return {
        "_class_name": "AutoencoderKL",
        "act_fn": "silu",
        "block_out_channels": list(channels),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "in_channels": 3,
        "latent_channels": 4,
        "layers_per_block": layers,
        "norm_num_groups": groups,
        "out_channels": 3,
        "sample_size": 16 * 2 ** (levels - 1),
        "scaling_factor": 0.18215,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
    }


def text_config(hidden: int, heads: int, act: str) -> Config:
    """A `text_encoder/config.json` of two layers; the token ids of the start and end are the hub's historical ones."""
    return {
        "architectures": ["CLIPTextModel"],
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": act,
        "hidden_size": hidden,
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "intermediate_size": 4 * hidden,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 77,
        "model_type": "clip_text_model",
        "num_attention_heads": heads,
        "num_hidden_layers": 2,
        "pad_token_id": 1,
        "projection_dim": hidden,
        "vocab_size": VOCAB_SIZE,
    }


def vision_config(hidden: int, heads: int, act: str) -> Config:
    """An `image_encoder/config.json` of two layers over 16 patches."""
    return {
        "architectures": ["CLIPVisionModelWithProjection"],
        "attention_dropout": 0.0,
        "hidden_act": act,
        "hidden_size": hidden,
        "image_size": 32,
        "intermediate_size": 4 * hidden,
        "layer_norm_eps": 1e-05,
        "model_type": "clip_vision_model",
        "num_attention_heads": heads,
        "num_channels": 3,
        "num_hidden_layers": 2,
        "patch_size": 8,
        "projection_dim": 24,
    }


SD1: dict[str, Config] = {
    "unet": unet_config([32, 32, 64, 64], heads=4, context_dim=32, groups=8, linear=False),
    "vae": vae_config([16, 32, 32], groups=8),
    "text": text_config(32, heads=4, act="quick_gelu"),
    "vision": vision_config(32, heads=4, act="quick_gelu"),
}

SD2: dict[str, Config] = {
    "unet": unet_config([32, 32, 64, 64], heads=[2, 2, 4, 4], context_dim=48, groups=8, linear=True),
    "vae": vae_config([16, 24, 32], groups=8),
    "text": text_config(48, heads=3, act="gelu"),
    "vision": vision_config(40, heads=5, act="gelu"),
}


def sdxl_unet_config(channels: Sequence[int], heads: Sequence[int], depths: Sequence[int], groups: int) -> Config:
    """A `unet/config.json` of Stable Diffusion XL's structure, with the keys and nulls that its own has."""
    return {
        **unet_config(channels, heads=list(heads), context_dim=SDXL_TEXT + SDXL_TEXT_2, groups=groups, linear=True),
        "addition_embed_type": "text_time",
        "addition_embed_type_num_heads": 64,
        "addition_time_embed_dim": SDXL_SIZES,
        "class_embed_type": None,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "num_attention_heads": None,
        "projection_class_embeddings_input_dim": SDXL_POOLED + 6 * SDXL_SIZES,
        "resnet_out_scale_factor": 1.0,
        "time_cond_proj_dim": None,
        "transformer_layers_per_block": list(depths),
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "upcast_attention": None,
    }


SDXL_TEXT, SDXL_TEXT_2, SDXL_POOLED, SDXL_SIZES = 24, 16, 12, 8
"""Widths: of what each text encoder gives, of the text's vector, and of what the UNet makes of each size."""

SDXL: dict[str, Config] = {
    "unet": sdxl_unet_config([8, 16, 16], heads=[1, 2, 4], depths=[1, 1, 2], groups=4),
    "vae": {**vae_config([8, 8, 16], groups=4, layers=1), "force_upcast": True, "scaling_factor": 0.13025},
    "text": text_config(SDXL_TEXT, heads=3, act="quick_gelu"),
    "text_2": {
        **text_config(SDXL_TEXT_2, heads=2, act="gelu"),
        "architectures": ["CLIPTextModelWithProjection"],
        "num_hidden_layers": 3,
        "projection_dim": SDXL_POOLED,
    },
}
"""The networks of `sdxl_folder/`, whose weights are stored."""

SDXL_FIVE: Config = {**SDXL["unet"], "projection_class_embeddings_input_dim": SDXL_POOLED + 5 * SDXL_SIZES}
"""A UNet that reads a score of beauty in the place of the target's size, as SDXL's refiner does."""

FOLDER: dict[str, Config] = {
    "unet": unet_config([8, 8, 16, 16], heads=[1, 1, 2, 2], context_dim=16, groups=4, linear=True),
    "vae": vae_config([8, 8, 16], groups=4, layers=1),
    "text": text_config(16, heads=2, act="gelu"),
}
"""The networks of `diffusers_folder/`, whose weights are stored and so are smaller still."""


_SHARED = (
    "addition_embed_type", "addition_time_embed_dim", "projection_class_embeddings_input_dim",
    "transformer_layers_per_block", "attention_head_dim", "block_out_channels", "cross_attention_dim",
    "down_block_types", "flip_sin_to_cos",
    "freq_shift", "in_channels", "layers_per_block", "norm_eps", "norm_num_groups", "upcast_attention",
    "use_linear_projection",
)  # fmt: skip


def controlnet_config(unet: Config, **changes: Any) -> Config:
    """A `config.json` of a ControlNet for that UNet, whose map is 4 times as large as the latent."""
    shared = {name: unet[name] for name in _SHARED if name in unet}
    return {**shared, "conditioning_embedding_out_channels": [4, 8, 12], **changes}


LAYERS = [1, 3, 2, 1]
"""Resnets of each level of the UNet of `unet_layers`."""


def seeded_tensor(name: str, shape: Sequence[int]) -> np.ndarray:
    """The float32 parameter `name` of this shape, from a generator seeded by the name's CRC-32.

    Linear and convolution weights are N(0, 1 / fan_in), biases N(0, 0.1^2), norm weights N(1, 0.1^2), embeddings
    N(0, 0.5^2): every parameter shows in the output, and the outputs are of order one.
    """
    shape = tuple(int(size) for size in shape)
    noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith(".bias"):
        value = 0.1 * noise
    elif "_embedding.weight" in name:
        value = 0.5 * noise
    elif len(shape) == 1:
        value = 1 + 0.1 * noise
    else:
        value = noise / np.sqrt(np.prod(shape[1:]))
    return value.astype(np.float32)
