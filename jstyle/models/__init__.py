"""The networks of Stable Diffusion 1.x and 2.x, with diffusers' class and attribute names."""

from __future__ import annotations

from jstyle.models.attention import TextContext
from jstyle.models.clip_text import CLIPTextModel
from jstyle.models.clip_vision import CLIPVisionModelWithProjection
from jstyle.models.unet import UNet2DConditionModel
from jstyle.models.vae import AutoencoderKL

__all__ = ["AutoencoderKL", "CLIPTextModel", "CLIPVisionModelWithProjection", "TextContext", "UNet2DConditionModel"]
