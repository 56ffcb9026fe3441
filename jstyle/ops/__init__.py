"""The arithmetic of the networks, in one layout: channels last.

Feature maps are (batch, height, width, channels) and token sequences (batch, tokens, channels), so
going from a convolution to a transformer block is a reshape. Weights keep diffusers' shapes.
"""

from __future__ import annotations

from jstyle.ops.activations import geglu, gelu, quick_gelu, silu
from jstyle.ops.attention import KeyValue, attention
from jstyle.ops.norms import group_norm, layer_norm
from jstyle.ops.products import conv2d, linear
from jstyle.ops.spatial import pad_bottom_right, upsample_nearest

__all__ = [
    "KeyValue",
    "attention",
    "conv2d",
    "geglu",
    "gelu",
    "group_norm",
    "layer_norm",
    "linear",
    "pad_bottom_right",
    "quick_gelu",
    "silu",
    "upsample_nearest",
]
