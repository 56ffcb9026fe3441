"""The networks of Stable Diffusion 1.x, 2.x and XL, with diffusers' class and attribute names.

Importing this starts nothing: what is asked for is imported then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jstyle.lazy import imported_on_demand

if TYPE_CHECKING:
    from jstyle.networks.attention import TextContext
    from jstyle.networks.clip_text import CLIPTextModel, CLIPTextModelWithProjection
    from jstyle.networks.clip_vision import CLIPVisionModelWithProjection
    from jstyle.networks.condition import Condition
    from jstyle.networks.controlnet import ControlNetModel
    from jstyle.networks.unet import UNet2DConditionModel
    from jstyle.networks.vae import AutoencoderKL

__all__ = [
    "AutoencoderKL",
    "CLIPTextModel",
    "CLIPTextModelWithProjection",
    "CLIPVisionModelWithProjection",
    "Condition",
    "ControlNetModel",
    "TextContext",
    "UNet2DConditionModel",
]

__getattr__ = imported_on_demand(
    __name__,
    {
        "AutoencoderKL": "jstyle.networks.vae",
        "CLIPTextModel": "jstyle.networks.clip_text",
        "CLIPTextModelWithProjection": "jstyle.networks.clip_text",
        "CLIPVisionModelWithProjection": "jstyle.networks.clip_vision",
        "Condition": "jstyle.networks.condition",
        "ControlNetModel": "jstyle.networks.controlnet",
        "TextContext": "jstyle.networks.attention",
        "UNet2DConditionModel": "jstyle.networks.unet",
    },
)
