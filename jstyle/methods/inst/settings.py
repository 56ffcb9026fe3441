"""The settings of InST: of a transfer, and of the training that learns a style."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Optional

from jstyle.settings.fields import free, require
from jstyle.settings.paths import Source, require_paths
from jstyle.settings.vocabulary import (
    Fit,
    draw_seed,
    require_count,
    require_factor,
    require_size,
    require_steps,
    require_word,
)
from jstyle.training.settings import LoopSettings
from jstyle.training.teaching.settings import TeachOptions, TeachSettings


@dataclass(frozen=True)
class InstSettings:
    """Defaults are those of the paper's own code.

    ValueError for values that make no sense.
    """

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

    fit: Fit = "keep"
    """How pictures come to that size: with their own aspect and about that area (keep), without their sides (crop),
    with a mirrored border (pad), out of shape (stretch). With keep a style is learnt from its centre.
    """

    seed: int = 42
    """Decides the noise, which is the same for every content; -1 draws one."""

    batch_size: int = free(1, because="a content's result does not depend on those beside it")
    """Contents that go through the UNet together."""

    def __post_init__(self) -> None:
        require_steps(self.steps)
        require(0 < self.strength <= 1, f"strength must be above 0 and at most 1, not {self.strength}")
        require(int(self.steps * self.strength) > 0, f"strength {self.strength} of {self.steps} steps must leave one")
        require_factor(guidance=self.guidance)
        require("{token}" in self.prompt, "prompt must contain {token}, the learnt word")
        require_size(width=self.width, height=self.height)
        draw_seed(self)
        require_count(batch_size=self.batch_size)


@dataclass(frozen=True)
class InstTraining(TeachOptions):
    """How InST (arXiv 2211.13203) learns one picture's style; the defaults are those of the paper's code.

    On which model, and in what it computes, whoever holds these settings says.
    """

    flip: bool = True
    """Show the picture mirrored as often as not, to the image encoder too."""

    token: str = "<style>"
    """The word that stands for the style."""

    prompt: str = "{token}"
    """What is said of the picture; {token} is the word."""

    heads: int = 8
    """Heads of the attention over the picture's patches."""

    head_width: int = 64
    """Channels of a head."""

    dropout: float = 0.05
    """The share of numbers hidden behind each attention and before the last layer."""

    scale_rate: bool = True
    """Multiply loop.rate by the pictures of an update, batch * loop.accumulate."""

    loop: LoopSettings = field(default_factory=lambda: LoopSettings(steps=6100, rate=1e-4, clip=None))
    """How it is trained."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_word(self.token)
        require("{token}" in self.prompt, "prompt must contain {token}, the word")
        require_count(heads=self.heads, head_width=self.head_width)
        require(0 <= self.dropout < 1, f"dropout must be from 0 to below 1, not {self.dropout}")


@dataclass(frozen=True)
class InstTrainSettings(InstTraining, TeachSettings):
    """A training of InST, which learns one of the pictures in ``data``."""

    picture: Optional[str] = None
    """The name of that picture, where there are several; by default the first by name."""

    image_encoder: Optional[Source] = free(None, because="its weights' hash stands for it")
    """A model or folder whose CLIP image encoder looks at the picture; by default the model's own."""

    compat: bool = False
    """Show the image encoder what the paper's code shows it: [-1, 1] cut to whole numbers, nearly all zeros."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_paths(image_encoder=self.image_encoder)
