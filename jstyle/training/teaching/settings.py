"""The settings of the trainers; ``configs`` holds a YAML for each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Optional, Tuple

from jstyle.training.settings import LoopSettings, LossSettings, require


@dataclass(frozen=True)
class Place:
    """What is trained, on what, and where the result goes; ValueError for values that make no sense."""

    data: Tuple[Path, ...]
    """Pictures, or folders of pictures. A file of the same name ending in .txt holds a picture's caption."""

    output: Path
    """Folder for the result, checkpoints and reports; a run goes on from what is there."""

    model: str = "tiny"
    """A folder in diffusers' layout, a hub id, or tiny, the embedded model."""

    revision: Optional[str] = None
    """Commit or branch of a hub id."""

    variant: Optional[str] = None
    """fp16 reads the half-precision files of a model."""

    width: Optional[int] = None
    """Pixels; pictures are scaled and cropped to it. By default the model's own size."""

    height: Optional[int] = None
    """Pixels."""

    def __post_init__(self) -> None:
        require(bool(self.data), "data must name at least one picture or folder")


@dataclass(frozen=True)
class TuneOptions:
    """How every trainer goes about it; ValueError for values that make no sense."""

    flip: bool = False
    """Show pictures mirrored as often as not. A style survives it; faces and letters do not."""

    batch: int = 1
    """Pictures a batch; loop.accumulate batches make one update."""

    recompute: bool = False
    """Compute the UNet's blocks again in the backward pass instead of keeping all they did: less memory, more time."""

    precision: Literal["fp32", "fp16"] = "fp32"
    """What the UNet computes in: fp16 needs a GPU. What is trained stays in fp32 (arXiv 1710.03740)."""

    backend: Literal["native", "jdiffusion"] = "native"
    """Whose networks compute: this project's, or JDiffusion's where it is installed (docs/jdiffusion.md)."""

    validation_prompts: Tuple[str, ...] = ()
    """What to draw now and then while training."""

    validation_every: int = 100
    """Updates between two such sheets."""

    validation_steps: int = 25
    """Sampling steps of a validation picture."""

    guidance: float = 7.5
    """Guidance of validation pictures, and of class pictures where there are any."""

    loss: LossSettings = field(default_factory=LossSettings)
    """How noise levels are drawn and weighted."""

    loop: LoopSettings = field(default_factory=LoopSettings)
    """How it is trained."""

    def __post_init__(self) -> None:
        for name in ("batch", "validation_every", "validation_steps"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class TuneSettings(TuneOptions, Place):
    """What every trainer has; ValueError for values that make no sense."""

    def __post_init__(self) -> None:
        Place.__post_init__(self)
        TuneOptions.__post_init__(self)


@dataclass(frozen=True)
class TextualInversionSettings(TuneSettings):
    """Textual inversion (arXiv 2208.01618): a new word's vectors, nothing else."""

    token: str = "<style>"
    """The new word."""

    kind: Literal["style", "object"] = "style"
    """What the word stands for; decides the built-in captions."""

    prompt: Optional[str] = None
    """A caption for all pictures, such as "a {name} in the style of {token}"; {name} is what a picture's .txt file or
    its own name says. By default captions are built in, with the name where captions is name."""

    captions: Literal["template", "name"] = "template"
    """template: captions that name nothing but the word; name: what is in each picture is said beside it."""

    initial: Optional[str] = None
    """A known word that the vectors start from; by default painting or thing."""

    vectors: int = 1
    """Vectors of the word: more hold more of a style, and leave less room in a prompt."""

    loop: LoopSettings = field(default_factory=lambda: LoopSettings(steps=3000, rate=5e-4, accumulate=4))
    """How it is trained."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(1 <= self.vectors <= 70, f"vectors must be from 1 to 70, not {self.vectors}")
        require(self.prompt is None or "{token}" in self.prompt, "prompt must contain {token}, the new word")


@dataclass(frozen=True)
class CaptionedSettings(TuneSettings):
    """What the trainers have that learn from captions."""

    prompt: str = "{name}"
    """A picture's caption, such as "{name} in style_07"; {name} is what its .txt file or its own name says."""

    caption_dropout: float = 0.0
    """The share of examples shown without a caption, for guidance (arXiv 2207.12598: 0.1)."""

    text_encoder: bool = False
    """The text encoder learns too: LoRA changes its attention, the others all of it."""

    class_prompt: Optional[str] = None
    """Prior preservation (arXiv 2208.12242, section 3.2): what pictures of the class say, such as "a painting"; each
    update also sees as many of those, drawn by the model itself before the training."""

    class_images: int = 200
    """How many pictures of the class there are."""

    prior_weight: float = 1.0
    """The weight of the class's loss."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.caption_dropout <= 1, f"caption_dropout must be from 0 to 1, not {self.caption_dropout}")
        require(self.class_images >= 1, f"class_images must be at least 1, not {self.class_images}")
        require(self.prior_weight >= 0, f"prior_weight must not be negative, not {self.prior_weight}")


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

    loop: LoopSettings = field(default_factory=lambda: LoopSettings(steps=500, rate=1e-4))
    """How it is trained."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.rank >= 1, f"rank must be at least 1, not {self.rank}")
        require(self.alpha is None or self.alpha > 0, f"alpha must be positive, not {self.alpha}")
        require(0 <= self.dropout < 1, f"dropout must be from 0 to below 1, not {self.dropout}")


@dataclass(frozen=True)
class DreamBoothSettings(CaptionedSettings):
    """DreamBooth (arXiv 2208.12242): the whole UNet learns, by option the text encoder too."""

    loop: LoopSettings = field(default_factory=lambda: LoopSettings(steps=400, rate=5e-6))
    """How it is trained; loop.ema keeps a running average, which is then the result."""


@dataclass(frozen=True)
class InstTraining(TuneOptions):
    """How InST (arXiv 2211.13203) learns one picture's style; the defaults are those of the paper's code."""

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
        require("{token}" in self.prompt, "prompt must contain {token}, the word")
        for name in ("heads", "head_width"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        require(0 <= self.dropout < 1, f"dropout must be from 0 to below 1, not {self.dropout}")


@dataclass(frozen=True)
class InstTrainSettings(InstTraining, TuneSettings):
    """A training of InST, which learns one of the pictures in ``data``."""

    picture: Optional[str] = None
    """The name of that picture, where there are several; by default the first by name."""

    image_encoder: Optional[str] = None
    """A model or folder whose CLIP image encoder looks at the picture; by default the model's own."""

    compat: bool = False
    """Show the image encoder what the paper's code shows it: [-1, 1] cut to whole numbers, nearly all zeros."""


@dataclass(frozen=True)
class FineTuningSettings(CaptionedSettings):
    """Plain fine-tuning on captioned pictures: the whole UNet learns, and its running average is the result."""

    caption_dropout: float = 0.1
    """The share of examples shown without a caption, for guidance (arXiv 2207.12598)."""

    loop: LoopSettings = field(default_factory=lambda: LoopSettings(steps=1000, rate=1e-5, ema=0.99))
    """How it is trained."""
