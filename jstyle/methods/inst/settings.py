"""The settings of a transfer. Free of the engine, so that a command line is checked before Jittor starts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Optional


@dataclass(frozen=True)
class InstSettings:
    """Defaults are those of the paper's own code; ValueError for values that make no sense."""

    strength: float = 0.7
    """How far the content is noised: 0 keeps it, 1 leaves nothing of it but what inversion carries over."""

    steps: int = 50
    """DDIM steps from pure noise, of which the last strength share runs."""

    guidance: float = 10.0
    """How much the text counts (classifier-free guidance)."""

    prompt: str = "{token}"
    """The text of the pictures; {token} is the learnt word."""

    adain: bool = True
    """Give the content's latent the style's mean and deviation per channel first."""

    inversion: Literal["stochastic", "none"] = "stochastic"
    """stochastic: noise the content with what the model sees in it; none: with the drawn noise, as image-to-image."""

    width: Optional[int] = None
    """Width in pixels; the model's own size by default."""

    height: Optional[int] = None
    """Height in pixels; the model's own size by default."""

    seed: int = 42
    """Decides the noise, which is the same for every content."""

    batch_size: int = 1
    """Contents that go through the UNet together."""

    def __post_init__(self) -> None:
        _require(1 <= self.steps <= 1000, f"steps must be from 1 to 1000, not {self.steps}")
        _require(0 < self.strength <= 1, f"strength must be above 0 and at most 1, not {self.strength}")
        _require(int(self.steps * self.strength) > 0, f"strength {self.strength} of {self.steps} steps must leave one")
        _require(math.isfinite(self.guidance), f"guidance must be a number, not {self.guidance}")
        _require("{token}" in self.prompt, "prompt must contain {token}, the learnt word")
        _require(self.seed >= 0, f"seed must not be negative, not {self.seed}")
        _require(self.batch_size >= 1, f"batch_size must be at least 1, not {self.batch_size}")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
