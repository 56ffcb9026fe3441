"""The settings of ArtFusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional

from jstyle.settings.fields import free, require
from jstyle.settings.vocabulary import (
    Fit,
    draw_seed,
    require_count,
    require_finite,
    require_share,
    require_size,
    require_steps,
)


@dataclass(frozen=True)
class ArtFusionSettings:
    """Defaults are those of the paper's own program, but for the noise and what becomes of a picture's shape.

    ValueError for values that make no sense.
    """

    content_scale: float = 1.0
    """How much the content counts: below 1 it is left more freely."""

    style_scale: float = 1.0
    """How much the style counts: 2 and more exaggerate it."""

    steps: int = 250
    """DDIM steps."""

    eta: float = 1.0
    """Fresh noise in every step: none at 0, as much as DDPM at 1."""

    start: Literal["normal", "uniform"] = "normal"
    """The noise to begin with: normal, as the network was taught, or uniform from 0 to 1, as in the paper's program.
    """

    style_side: int = 256
    """Side in pixels of the square whose area a style's picture comes to; its texture is seen at that size."""

    width: Optional[int] = None
    """Width in pixels, a multiple of 32; 256 by default."""

    height: Optional[int] = None
    """Height in pixels, a multiple of 32; 256 by default."""

    fit: Fit = "keep"
    """How pictures come to that size: with their own aspect and about that area (keep), without their sides (crop),
    with a mirrored border (pad), out of shape (stretch), as in the paper's program.
    """

    seed: int = 42
    """Decides the noise, which is the same for every content; -1 draws one."""

    batch_size: int = free(1, because="a content's result does not depend on those beside it")
    """Contents that go through the UNet together."""

    def __post_init__(self) -> None:
        require_finite(content_scale=self.content_scale, style_scale=self.style_scale)
        require_steps(self.steps)
        require_share(eta=self.eta)
        require(32 <= self.style_side <= 4096, f"style_side must be from 32 to 4096, not {self.style_side}")
        require_size(width=self.width, height=self.height)
        draw_seed(self)
        require_count(batch_size=self.batch_size)


def check_finish(settings: ArtFusionSettings) -> None:
    """Raise ValueError: a recipe's pictures are finished by its own model, and ArtFusion has another."""
    require(False, "artfusion has a model of its own, which a recipe cannot name: run it on the finished pictures")
