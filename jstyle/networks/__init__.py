"""The networks of Stable Diffusion 1.x and 2.x, with diffusers' class and attribute names."""

from __future__ import annotations

from jstyle.networks.attention import TextContext
from jstyle.networks.clip_text import CLIPTextModel
from jstyle.networks.clip_vision import CLIPVisionModelWithProjection
from jstyle.networks.unet import UNet2DConditionModel
from jstyle.networks.vae import AutoencoderKL

__all__ = ["AutoencoderKL", "CLIPTextModel", "CLIPVisionModelWithProjection", "TextContext", "UNet2DConditionModel"]
