"""The settings of a ControlNet's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Optional

from jstyle.settings.fields import free, require
from jstyle.settings.paths import ReadFolder
from jstyle.settings.vocabulary import Preprocessor, require_share
from jstyle.training.settings import LoopSettings
from jstyle.training.teaching.settings import TeachSettings


@dataclass(frozen=True)
class ControlNetSettings(TeachSettings):
    """A ControlNet (arXiv 2302.05543), which begins as a copy of the model's own UNet."""

    preprocess: Optional[Preprocessor] = "canny"
    """What makes the maps; null takes the pictures in maps as they are."""

    maps: Optional[ReadFolder] = free(None, because="the maps' own pixels count")
    """Folder of the pictures that the maps are made of, under the names of data's; by default those themselves."""

    prompt: str = "{name}"
    """A picture's caption; {name} is what its .txt file or its own name says."""

    caption_dropout: float = 0.5
    """The share of examples shown without a caption, so that the map alone is understood (section 3.3)."""

    widths: tuple[int, ...] = (16, 32, 96, 256)
    """Channels of the layers that read the map; each but the first halves it, down to the latent's size."""

    save_precision: Literal["fp32", "fp16"] = "fp32"
    """Precision of the numbers in the file."""

    loop: LoopSettings = field(default_factory=lambda: LoopSettings(steps=10_000, rate=1e-5, warmup=500))
    """How it is trained."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_share(caption_dropout=self.caption_dropout)
        ready = self.preprocess is not None or self.maps is not None
        require(ready, "preprocess makes the maps, or maps names the folder of ready ones: give one of them")
