"""What the settings of all ways to teach share; ``configs`` holds a YAML for each way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from jstyle.settings.fields import flat, free, require
from jstyle.settings.model import ModelSettings
from jstyle.settings.paths import Pictures, ResultsFolder
from jstyle.settings.vocabulary import (
    FixedFit,
    require_at_least,
    require_count,
    require_finite,
    require_share,
    require_size,
    require_steps,
)
from jstyle.training.settings import LoopSettings, LossSettings

_ONLY_SHOWN = "it is drawn to be looked at"


@dataclass(frozen=True)
class TeachPlace:
    """What is taught, from what, and where the result goes.

    ValueError for values that make no sense.
    """

    data: tuple[Pictures, ...] = free(because="the pictures' own bytes count")
    """Pictures, or folders of pictures. A file of the same name ending in .txt holds a picture's caption."""

    output: ResultsFolder = free(because="where a result lies is not what it is")
    """Folder for the result, checkpoints and reports; a run goes on from what is there."""

    model: ModelSettings = flat(ModelSettings)
    """What is taught. fp16 is what the UNet computes in; what is learnt stays in fp32 (arXiv 1710.03740)."""

    width: Optional[int] = None
    """Pixels. By default the model's own size."""

    height: Optional[int] = None
    """Pixels."""

    fit: FixedFit = "crop"
    """How a picture of another shape comes to that size: without its sides (crop), with a mirrored border (pad), out of
    shape (stretch).
    """

    def __post_init__(self) -> None:
        require(bool(self.data), "data must name at least one picture or folder")
        require_size(width=self.width, height=self.height)
        require(self.model.precision != "bf16", "precision must be fp32 or fp16 for training, not bf16")


@dataclass(frozen=True)
class TeachOptions:
    """How every way to teach goes about it.

    ValueError for values that make no sense.
    """

    flip: bool = False
    """Show pictures mirrored as often as not. A style survives it; faces and letters do not."""

    batch: int = 1
    """Pictures a batch; loop.accumulate batches make one update."""

    recompute: bool = free(False, because="it trades time for memory")
    """Compute the UNet's blocks again in the backward pass instead of keeping all they did: less memory, more time."""

    validation_prompts: tuple[str, ...] = free((), because=_ONLY_SHOWN)
    """What to draw now and then while training."""

    validation_every: int = free(100, because=_ONLY_SHOWN)
    """Updates between two such sheets."""

    validation_steps: int = free(25, because=_ONLY_SHOWN)
    """Sampling steps of a validation picture."""

    guidance: float = free(7.5, because=_ONLY_SHOWN)
    """Guidance of validation pictures."""

    loss: LossSettings = field(default_factory=LossSettings)
    """How noise levels are drawn and weighted."""

    loop: LoopSettings = field(default_factory=LoopSettings)
    """How it is trained."""

    def __post_init__(self) -> None:
        require_count(batch=self.batch)
        require_at_least(1, validation_every=self.validation_every)
        require_steps(self.validation_steps, name="validation_steps")
        require_finite(guidance=self.guidance)


@dataclass(frozen=True)
class TeachSettings(TeachOptions, TeachPlace):
    """What every way to teach has.

    ValueError for values that make no sense.
    """

    def __post_init__(self) -> None:
        TeachPlace.__post_init__(self)
        TeachOptions.__post_init__(self)


@dataclass(frozen=True)
class ClassPictures:
    """Pictures of a class that must not be forgotten (arXiv 2208.12242, section 3.2), drawn by the model itself."""

    class_prompt: Optional[str] = None
    """What they say, such as "a painting"; each update then sees as many of them as of the taught ones. null: none."""

    class_images: int = 200
    """How many there are."""

    class_steps: int = 25
    """Sampling steps with which they are drawn."""

    class_guidance: float = 7.5
    """Guidance with which they are drawn."""

    prior_weight: float = 1.0
    """The weight of their loss."""

    def __post_init__(self) -> None:
        require_count(class_images=self.class_images)
        require_steps(self.class_steps, name="class_steps")
        require_finite(class_guidance=self.class_guidance)
        require_at_least(0, prior_weight=self.prior_weight)


@dataclass(frozen=True)
class CaptionedSettings(TeachSettings):
    """What the ways to teach have that learn from captions."""

    prompt: str = "{name}"
    """A picture's caption, such as "{name} in style_07"; {name} is what its .txt file or its own name says."""

    caption_dropout: float = 0.0
    """The share of examples shown without a caption, for guidance (arXiv 2207.12598: 0.1)."""

    text_encoder: bool = False
    """The text encoder learns too: LoRA changes its attention, the others all of it."""

    class_pictures: ClassPictures = flat(ClassPictures)
    """Prior preservation."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_share(caption_dropout=self.caption_dropout)
