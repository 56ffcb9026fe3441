"""The networks of Stable Diffusion 1.x and 2.x, with diffusers' class and attribute names.

Importing this starts nothing: what is asked for is imported then.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jstyle.networks.attention import TextContext
    from jstyle.networks.clip_text import CLIPTextModel
    from jstyle.networks.clip_vision import CLIPVisionModelWithProjection
    from jstyle.networks.unet import UNet2DConditionModel
    from jstyle.networks.vae import AutoencoderKL

__all__ = ["AutoencoderKL", "CLIPTextModel", "CLIPVisionModelWithProjection", "TextContext", "UNet2DConditionModel"]

_HOMES = {
    "AutoencoderKL": "vae",
    "CLIPTextModel": "clip_text",
    "CLIPVisionModelWithProjection": "clip_vision",
    "TextContext": "attention",
    "UNet2DConditionModel": "unet",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
