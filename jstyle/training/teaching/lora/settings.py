"""The settings of a LoRA."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Optional

from jstyle.settings.fields import later, require
from jstyle.settings.vocabulary import LoraFormat, Precision, require_count, require_positive
from jstyle.training.settings import LoopSettings
from jstyle.training.teaching.settings import CaptionedSettings


@dataclass(frozen=True)
class LoraSettings(CaptionedSettings):
    """LoRA (arXiv 2106.09685), also with DreamBooth's prior preservation."""

    rank: int = 4
    """Rank of the changes."""

    alpha: Optional[float] = None
    """Changes count alpha / rank; by default as much as the rank."""

    dropout: float = 0.0
    """The share of a layer's inputs that its change does not see."""

    initial: Literal["gaussian", "kaiming"] = "gaussian"
    """How A starts; B starts at zero."""

    feed_forward: bool = False
    """Change the transformers' feed-forward layers too."""

    convolutions: bool = False
    """Change the convolutions too."""

    format: LoraFormat = later("diffusers")
    """Whose names the file has: diffusers', which all loaders read, or kohya's, for sd-scripts and web UIs."""

    save_precision: Precision = later("fp32")
    """Precision of the numbers in the file."""

    loop: LoopSettings = field(default_factory=lambda: LoopSettings(steps=500, rate=1e-4))
    """How it is trained."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(rank=self.rank)
        require_positive(alpha=self.alpha)
        require(0 <= self.dropout < 1, f"dropout must be from 0 to below 1, not {self.dropout}")
