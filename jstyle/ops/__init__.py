"""The arithmetic of the networks, in one layout: channels last.

Feature maps are (batch, height, width, channels) and token sequences (batch, tokens, channels), so
going from a convolution to a transformer block is a reshape. Weights keep diffusers' shapes.

Each function runs as a fused kernel (``kernels``) where it can, else in plain Jittor (``reference``).
"""

from __future__ import annotations

from jstyle.ops.activations import geglu, gelu, quick_gelu, silu
from jstyle.ops.attention import KeyValue, attention
from jstyle.ops.movement import add, cast, channels_first, channels_last, concat_channels, upsample_nearest
from jstyle.ops.norms import group_norm, layer_norm
from jstyle.ops.products import conv2d, linear, linear_geglu

__all__ = [
    "KeyValue",
    "add",
    "attention",
    "cast",
    "channels_first",
    "channels_last",
    "concat_channels",
    "conv2d",
    "geglu",
    "gelu",
    "group_norm",
    "layer_norm",
    "linear",
    "linear_geglu",
    "quick_gelu",
    "silu",
    "upsample_nearest",
]
