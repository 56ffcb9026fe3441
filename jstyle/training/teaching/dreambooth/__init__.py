"""DreamBooth (arXiv 2208.12242): the whole UNet learns, and what it knew of a class is kept."""

from __future__ import annotations

from jstyle.training.teaching.dreambooth.settings import DreamBoothSettings
from jstyle.training.teaching.table import Teaching

TEACHING = Teaching(
    name="dreambooth",
    title="DreamBooth",
    summary="trains the whole UNet, optionally with pictures of the class that must not be forgotten",
    paper="arXiv 2208.12242",
    settings=DreamBoothSettings,
    run="jstyle.training.teaching.whole_networks:train_networks",
    result="model/unet/diffusion_pytorch_model.safetensors",
    serves="model",
    attach="jstyle.adapters.attaching:attach_networks",
)
