"""The settings of DreamBooth."""

from __future__ import annotations

from dataclasses import dataclass, field

from jstyle.training.settings import LoopSettings
from jstyle.training.teaching.settings import CaptionedSettings


@dataclass(frozen=True)
class DreamBoothSettings(CaptionedSettings):
    """DreamBooth (arXiv 2208.12242): the whole UNet learns, optionally the text encoder too."""

    loop: LoopSettings = field(default_factory=lambda: LoopSettings(steps=400, rate=5e-6))
    """How it is trained; loop.ema keeps a running average, which is then the result."""
