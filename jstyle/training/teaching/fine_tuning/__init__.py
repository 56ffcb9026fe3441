"""Plain fine-tuning: the whole UNet learns from captioned pictures."""

from __future__ import annotations

from jstyle.training.teaching.fine_tuning.settings import FineTuningSettings
from jstyle.training.teaching.table import Teaching

TEACHING = Teaching(
    name="fine_tuning",
    title="Fine-tuning",
    summary="trains the whole UNet on captioned pictures; the result is its running average",
    paper="arXiv 2112.10752",
    settings=FineTuningSettings,
    run="jstyle.training.teaching.whole_networks:train_networks",
    result="model/unet/diffusion_pytorch_model.safetensors",
    serves="model",
    attach="jstyle.adapters.attaching:attach_networks",
)
