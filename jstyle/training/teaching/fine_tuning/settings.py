"""The settings of plain fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass, field

from jstyle.training.settings import LoopSettings
from jstyle.training.teaching.settings import CaptionedSettings


@dataclass(frozen=True)
class FineTuningSettings(CaptionedSettings):
    """Plain fine-tuning on captioned pictures: the whole UNet learns, and its running average is the result."""

    caption_dropout: float = 0.1
    """The share of examples shown without a caption, for guidance (arXiv 2207.12598)."""

    loop: LoopSettings = field(default_factory=lambda: LoopSettings(steps=1000, rate=1e-5, ema=0.99))
    """How it is trained."""
