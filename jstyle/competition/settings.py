"""The settings that one picture can have. Each dataclass refuses what makes no sense with a ValueError, one line."""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import Any, Dict, Literal, Optional, Tuple, Union

RULES = ("first", "random", "nearest")
"""How a reference may be picked: the first by name, by the picture's seed, the one with the likest colours."""


@dataclass(frozen=True)
class Start:
    """Image-to-image: what a picture starts from, and the share of the steps that change it."""

    image: str = "mean"
    """mean: the mean of the style's references; else a reference's name (`boat`), or a file."""

    strength: float = 0.85
    """1 leaves nothing of it; 0 changes nothing, and is refused."""

    def __post_init__(self) -> None:
        require(0.0 < self.strength <= 1.0, f"strength must lie above 0 and up to 1, not {self.strength}")


@dataclass(frozen=True)
class Adapter:
    """Something trained that is added to the model, such as a LoRA or a new word: from a file, or trained first."""

    kind: str
    """Which loader reads it, and which method trains it."""

    file: Optional[str] = None
    """`{style}` stands for the style's number."""

    train: Optional[Dict[str, Any]] = None
    """The trainer's settings, where it is to be trained on the style's references; `{style}` is the style's number."""

    weight: float = 1.0
    """How much of it is added."""

    def __post_init__(self) -> None:
        require((self.file is None) != (self.train is None), "an adapter has either a file or train (settings)")
        _require_template(self.file or "", "file", {"style"})


@dataclass(frozen=True)
class Finish:
    """A method that turns the finished picture into another, such as StyleID."""

    method: str
    """Its name."""

    reference: str = "first"
    """A rule (first, random, nearest), or a reference's name (`boat`)."""

    settings: Dict[str, Any] = field(default_factory=dict)
    """The method's own."""


@dataclass(frozen=True)
class StyleSet:
    """A method that makes the pictures of a style as one set: each takes after the set's reference."""

    method: str = "style_align"
    """Its name."""

    reference: str = "first"
    """first, or a reference's name (`boat`): that picture; prompt: the picture of the style's first prompt."""

    text: str = "{name}"
    """What a reference picture shows; `{name}` are the words of its file's name, `{style}` is the style's number."""

    settings: Dict[str, Any] = field(default_factory=dict)
    """The method's own."""

    def __post_init__(self) -> None:
        _require_template(self.text, "text", {"name", "style"})


@dataclass(frozen=True)
class Picture:
    """How one picture is made."""

    prompt: str = "{prompt} in style_{style}"
    """`{prompt}` is the dataset's prompt, `{style}` the style's number."""

    negative_prompt: str = ""
    """What it should not show."""

    sampler: Optional[Literal["ddim", "ddpm", "pndm", "lms", "euler", "dpmpp_2m"]] = None
    """By default the checkpoint's own."""

    steps: int = 25
    """Sampling steps."""

    guidance: float = 7.5
    """Classifier-free guidance; 1 turns it off."""

    eta: float = 0.0
    """Noise of ddim."""

    seed: Union[int, Tuple[int, ...]] = 0
    """For all or for a style, a number (prompt i has seed + i) or a list with one a prompt; for a prompt its seed."""

    start: Optional[Start] = None
    adapters: Tuple[Adapter, ...] = ()
    set: Optional[StyleSet] = None
    finish: Optional[Finish] = None

    def __post_init__(self) -> None:
        _require_template(self.prompt, "prompt", {"prompt", "style"})
        require(1 <= self.steps <= 1000, f"steps must lie between 1 and 1000, not {self.steps}")
        require(abs(self.guidance) < float("inf"), f"guidance must be finite, not {self.guidance}")
        seeds = self.seed if isinstance(self.seed, tuple) else (self.seed,)
        require(min(seeds, default=0) >= 0, f"a seed must not be negative, not {min(seeds, default=0)}")
        require(0.0 <= self.eta <= 1.0, f"eta must lie between 0 and 1, not {self.eta}")
        require(self.eta == 0.0 or self.sampler == "ddim", "eta is a setting of ddim: name that sampler")
        start_steps = self.steps if self.start is None else int(self.steps * self.start.strength)
        require(start_steps >= 1, f"strength and {self.steps} steps leave no step to run")


@dataclass(frozen=True)
class Model:
    """The checkpoint and the size of the pictures."""

    model: str = "tiny"
    """A folder in diffusers' layout, a hub id, or tiny, the embedded model."""

    revision: Optional[str] = None
    variant: Optional[str] = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"

    backend: Literal["native", "jdiffusion"] = "native"
    """Whose networks compute: this project's, or JDiffusion's where it is installed."""

    width: Optional[int] = None
    height: Optional[int] = None

    def loading(self) -> Dict[str, Any]:
        """What a worker needs to load it."""
        return {name: getattr(self, name) for name in ("model", "revision", "variant", "precision", "backend")}


def require(condition: bool, message: str) -> None:
    """Raises ValueError unless the condition holds."""
    if not condition:
        raise ValueError(message)


def _require_template(text: str, name: str, known: set) -> None:
    """Raises ValueError where a text asks for something that `str.format` will not find."""
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{name}: {text!r} is no template ({error}); write {{{{ for a brace") from error
    for _, asked, form, conversion in parts:
        if asked is not None and (asked not in known or form or conversion):
            shown = " and ".join(f"{{{one}}}" for one in sorted(known))
            raise ValueError(f"{name}: {text!r} asks for {{{asked}}}, and there is {shown}")
