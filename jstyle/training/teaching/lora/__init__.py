"""LoRA (arXiv 2106.09685): low-rank changes of layers, beside a model that stands still."""

from __future__ import annotations

from jstyle.training.teaching.lora.settings import LoraSettings
from jstyle.training.teaching.table import Teaching

TEACHING = Teaching(
    name="lora",
    title="LoRA",
    summary="learns low-rank changes of the UNet's layers, optionally of the text encoder's too",
    paper="arXiv 2106.09685",
    settings=LoraSettings,
    run="jstyle.training.teaching.lora.train:train_lora",
    result="pytorch_lora_weights.safetensors",
    serves="lora",
    attach="jstyle.adapters.attaching:attach_lora",
)
