"""The settings and inputs of Imagic, and what one of its pictures is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Optional

from jstyle.settings.fields import free, require
from jstyle.settings.paths import Picture, ResultsFolder
from jstyle.settings.vocabulary import (
    Fit,
    SamplerName,
    draw_seed,
    require_count,
    require_finite,
    require_size,
    require_steps,
)
from jstyle.training.settings import LoopSettings, LossSettings

ETAS = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0)
EMBEDDING_LOOP = LoopSettings(steps=500, rate=1e-3, clip=None, weight_decay=0.0)
UNET_LOOP = LoopSettings(steps=1000, rate=2e-6, clip=None, weight_decay=0.0)
LORA_LOOP = LoopSettings(steps=500, rate=1e-3, clip=None, weight_decay=0.0)
LORA_RANK = 16
LEAST_ETA, MOST_ETA = -1.0, 2.0
"""Farther from both the picture and the text nothing is a picture."""


@dataclass(frozen=True)
class ImagicSettings:
    """How the three stages go. Steps and rates of the whole UNet are those of diffusers' rendering.

    ValueError for values that make no sense.
    """

    embedding_loop: LoopSettings = EMBEDDING_LOOP
    """The first stage: what the UNet reads of the text comes to mean the picture."""

    tune: Literal["unet", "lora"] = "unet"
    """What the second stage tunes to the picture: the whole UNet, or low-rank changes of its layers (LoRA)."""

    unet_loop: LoopSettings = field(
        default_factory=lambda: LoopSettings(steps=1000, rate=2e-6, clip=None, weight_decay=0.0)
    )
    """The second stage, where the whole UNet is tuned."""

    lora_loop: LoopSettings = LORA_LOOP
    """The second stage, where LoRA is tuned."""

    lora_rank: int = LORA_RANK
    """The rank of LoRA's changes."""

    loss: LossSettings = field(default_factory=LossSettings)
    """How noise levels are drawn and weighted, in both stages."""

    recompute: bool = free(False, because="it trades time for memory")
    """Compute the UNet's blocks again in the backward pass instead of keeping all they did: less memory, more time."""

    steps: int = 50
    """Sampling steps."""

    guidance: float = 7.5
    """Classifier-free guidance; 1 or less turns it off."""

    negative_prompt: str = ""
    """What the pictures should not show."""

    sampler: Optional[SamplerName] = "ddim"
    """How noise becomes a picture; null: the checkpoint's own."""

    seed: int = 0
    """Decides the noise from which every picture starts; -1 draws one."""

    width: Optional[int] = None
    """Width in pixels; the model's own size by default."""

    height: Optional[int] = None
    """Height in pixels; the model's own size by default."""

    fit: Fit = "keep"
    """How a picture comes to that size: with its own aspect and about that area (keep), without its sides (crop), with
    a mirrored border (pad), out of shape (stretch).
    """

    batch_size: int = free(1, because="pictures are the same in any batch")
    """Pictures that go through the UNet together."""

    def __post_init__(self) -> None:
        said = (self.lora_loop, self.lora_rank) != (LORA_LOOP, LORA_RANK)
        require(self.tune == "lora" or not said, "lora_loop and lora_rank change nothing without tune lora: set it too")
        require_count(lora_rank=self.lora_rank)
        require_steps(self.steps)
        require_finite(guidance=self.guidance)
        draw_seed(self)
        require_size(width=self.width, height=self.height)
        require_count(batch_size=self.batch_size)

    def describe_unused(self) -> list[str]:
        """A line where unet_loop is set and changes nothing. A config may set it for whoever tunes the whole UNet."""
        if self.tune == "unet" or self.unet_loop == UNET_LOOP:
            return []
        return ["unet_loop changes nothing with tune lora, which goes by lora_loop"]

    @property
    def tuning(self) -> LoopSettings:
        """The second stage's loop."""
        return self.unet_loop if self.tune == "unet" else self.lora_loop


def require_etas(name: str, etas: Sequence[float]) -> None:
    """Raise ValueError unless there are numbers, each of them one that an edit can have."""
    require(len(etas) > 0, f"{name} must name at least one number")
    for place, eta in enumerate(etas):
        within = LEAST_ETA <= eta <= MOST_ETA
        require(within, f"{name}[{place}] must be from {LEAST_ETA:g} to {MOST_ETA:g}, not {eta}")


@dataclass(frozen=True)
class ImagicInputs:
    """What to edit."""

    image: Picture
    """The picture."""

    prompt: str
    """What it should come to show."""

    eta: tuple[float, ...] = ETAS
    """How far each result goes from the picture, 0, to the text, 1; up to 2 beyond it, down to -1 away from it."""

    output: ResultsFolder = Path("outputs/imagic")
    """Folder for the results; made where it is missing."""

    trainings: Optional[ResultsFolder] = free(None, because="a training is the same wherever it lies")
    """Where both stages' trainings are kept, for later runs too; by default trainings/ in the output folder."""

    overwrite: bool = free(False, because="asks for the same pictures again")
    """Make finished pictures again; a finished training is kept."""

    def __post_init__(self) -> None:
        require_etas("eta", self.eta)
        require(len(set(self.eta)) == len(self.eta), "eta names a number twice")

    @property
    def folder(self) -> Path:
        """Where pictures go."""
        return self.output


@dataclass(frozen=True)
class ImagicSubject:
    """An edit of the picture whose file has the hash ``image``."""

    prompt: str
    eta: float
    image: str
    image_file: str = free("", because="the hash stands for it")
