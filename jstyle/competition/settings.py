"""The settings that one picture of a recipe can have. Each dataclass refuses what makes no sense."""

from __future__ import annotations

import string
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from jstyle.settings.fields import flat, later, require
from jstyle.settings.model import ModelSettings
from jstyle.settings.prompts import PromptSettings
from jstyle.settings.vocabulary import (
    SamplerName,
    Sigmas,
    require_curve,
    require_finite,
    require_seed,
    require_share,
    require_size,
    require_steps,
)


@dataclass(frozen=True)
class StartSettings:
    """Image-to-image: what a picture starts from, and the share of the steps that change it."""

    image: str = "mean"
    """mean: the mean of the style's references; else a reference's name (`boat`), or a file."""

    strength: float = 0.85
    """1 leaves nothing of it; 0 changes nothing, and is refused."""

    def __post_init__(self) -> None:
        require(0.0 < self.strength <= 1.0, f"strength must lie above 0 and up to 1, not {self.strength}")

    def count_steps(self, steps: int) -> int:
        """How many of so many steps are taken."""
        return int(steps * self.strength)


@dataclass(frozen=True)
class AdapterSettings:
    """Something trained that is added to the model, such as a LoRA or a new word: from a file, or trained first."""

    kind: str
    """The way of teaching, which knows how to attach it."""

    file: Optional[str] = None
    """`{style}` stands for the style's number."""

    train: Optional[dict[str, Any]] = None
    """The settings of its training, where it is to be trained on the style's references; `{style}` is the style's
    number."""

    weight: float = 1.0
    """How much of it is added."""

    def __post_init__(self) -> None:
        require((self.file is None) != (self.train is None), "an adapter has either a file or train (settings)")
        require_template(self.file or "", "file", {"style"})


@dataclass(frozen=True)
class FinishSettings:
    """A method that turns the finished picture into another, such as StyleID."""

    method: str
    """Its name."""

    reference: str = "first"
    """A rule (first, random, nearest), or a reference's name (`boat`)."""

    settings: dict[str, Any] = field(default_factory=dict)
    """The method's own."""


@dataclass(frozen=True)
class SetSettings:
    """A method that makes the pictures of a style as one set: each takes after the set's reference."""

    method: str = "style_align"
    """Its name."""

    reference: str = "first"
    """first, or a reference's name (`boat`): that picture; prompt: the picture of the style's first prompt."""

    text: str = "{name}"
    """What a reference picture shows; `{name}` are the words of its file's name, `{style}` is the style's number."""

    settings: dict[str, Any] = field(default_factory=dict)
    """The method's own."""

    def __post_init__(self) -> None:
        require_template(self.text, "text", {"name", "style"})


@dataclass(frozen=True)
class PictureSettings:
    """How one picture is made."""

    prompt: str = "{prompt} in style_{style}"
    """`{prompt}` is the dataset's prompt, `{style}` the style's number."""

    negative_prompt: str = ""
    """What it should not show."""

    reading: PromptSettings = flat(PromptSettings)

    sampler: Optional[SamplerName] = None
    """By default the checkpoint's own."""

    sigmas: Optional[Sigmas] = later(None)
    """The curve that the sampler's levels follow; by default the checkpoint's spacing."""

    steps: int = 25
    """Sampling steps."""

    guidance: float = 7.5
    """Classifier-free guidance; 1 or less turns it off."""

    eta: float = 0.0
    """Noise of ddim and of tcd."""

    seed: Union[int, tuple[int, ...]] = 0
    """For all or for a style, a number (prompt i has seed + i) or a list with one a prompt; for a prompt its seed."""

    start: Optional[StartSettings] = None
    adapters: tuple[AdapterSettings, ...] = ()
    set: Optional[SetSettings] = None
    finish: Optional[FinishSettings] = None

    def __post_init__(self) -> None:
        require_template(self.prompt, "prompt", {"prompt", "style"})
        require_steps(self.steps)
        require_finite(guidance=self.guidance)
        for seed in self.seed if isinstance(self.seed, tuple) else (self.seed,):
            require_seed(seed)
        require_share(eta=self.eta)
        require_curve(self.sampler, self.sigmas)
        require(self.eta == 0.0 or self.sampler == "ddim", "eta is a setting of ddim: name that sampler")
        steps = self.steps if self.start is None else self.start.count_steps(self.steps)
        require(steps >= 1, f"strength and {self.steps} steps leave no step to run")


@dataclass(frozen=True)
class RecipeModel:
    """The model of a recipe, and the size of its pictures."""

    model: ModelSettings = flat(ModelSettings)
    width: Optional[int] = None
    """Of all pictures, in pixels; by default the size that the model was trained on."""

    height: Optional[int] = None
    """As width."""

    def __post_init__(self) -> None:
        require_size(width=self.width, height=self.height)


def require_template(text: str, name: str, known: Collection[str]) -> None:
    """Raise ValueError where a text asks for something that `str.format` will not find."""
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{name}: {text!r} is no template ({error}); write {{{{ for a brace") from error
    for _, asked, form, conversion in parts:
        if asked is not None and (asked not in known or form or conversion):
            shown = " and ".join(f"{{{word}}}" for word in sorted(known))
            raise ValueError(f"{name}: {text!r} asks for {{{asked}}}, and there is {shown}")
