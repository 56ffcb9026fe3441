"""ControlNet: a copy of the UNet's way down learns to read maps, and steers the UNet by them."""

from __future__ import annotations

from jstyle.training.teaching.controlnet.settings import ControlNetSettings
from jstyle.training.teaching.table import Teaching

TEACHING = Teaching(
    name="controlnet",
    title="ControlNet",
    summary="teaches a ControlNet on captioned pictures, with edges or other maps that are made of them or given",
    paper="arXiv 2302.05543",
    settings=ControlNetSettings,
    run="jstyle.training.teaching.controlnet.train:train_controlnet",
    result="controlnet/diffusion_pytorch_model.safetensors",
    serves="controlnet",
)
