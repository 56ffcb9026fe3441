"""The settings and inputs of Prompt-to-Prompt, and what one of its pictures is of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Optional

from jstyle.settings.fields import free, require
from jstyle.settings.paths import Picture, ResultsFolder
from jstyle.settings.vocabulary import (
    Fit,
    SamplerName,
    draw_seed,
    is_guided,
    require_at_least,
    require_count,
    require_factor,
    require_positive,
    require_share,
    require_size,
    require_steps,
)

Window = tuple[float, float]
"""Shares of the steps, 0 the noisiest: from the first, up to the second."""


def choose_word_calls(window: Window, calls: int) -> range:
    """The calls of the UNet, of so many, at which words follow the source.

    As in the paper's code shares are of one call more: 0.8 of 50 ends before call 40, 1 after the last.
    """
    start, stop = window
    return range(int(start * (calls + 1)), int(stop * (calls + 1)))


def choose_layout_calls(window: Window, calls: int) -> range:
    """The calls of the UNet, of so many, at which the layout is the source's: 0.4 of 50 ends before call 20."""
    start, stop = window
    return range(int(start * calls), int(stop * calls))


@dataclass(frozen=True)
class PromptToPromptSettings:
    """How pictures are edited; the names are those of the paper's code."""

    edit: Literal["auto", "replace", "refine"] = "auto"
    """replace: word takes word's place; refine: words are added or left out. auto replaces where both texts have as
    many words.
    """

    cross_replace_steps: Window = (0.0, 0.8)
    """Steps, as shares, at which words look where the source's words look."""

    word_steps: Mapping[str, Window] = field(default_factory=dict)
    """The same for single words of the edited text, such as {dog: [0, 0.4]}."""

    self_replace_steps: Window = (0.0, 0.4)
    """Steps, as shares, at which the layout (self-attention) is the source's."""

    self_level: Optional[int] = None
    """The layout is the source's where maps were halved at least so often; by default to at most 24 a side, counted at
    the model's own size: 2 in Stable Diffusion, 0 in tiny.
    """

    reweight: Mapping[str, float] = field(default_factory=dict)
    """Factors on the attention to words of the edited text: {snow: 3} for more, {snow: -1} for less."""

    blend_words: tuple[str, ...] = ()
    """Change the picture only where one of these words looks, in the source or in the edit."""

    blend_threshold: float = 0.3
    """How much of its highest attention a place must have for that."""

    blend_start: float = 0.2
    """Share of the steps after which the rest is put back."""

    blend_level: Optional[int] = None
    """The maps of words are read where they were halved so often; by default as self_level's."""

    steps: int = 50
    """Sampling steps, and those of an inversion."""

    fixed_point: int = 0
    """Calls of the UNet that each step of an inversion has more, to come closer to the step that undoes it."""

    null_text: int = 0
    """Updates, at most, of what each step of a given picture's edits is guided away from, so that guidance alone would
    bring the picture back (null-text optimisation); 10 in its paper.
    """

    null_text_rate: float = 1e-2
    """Their learning rate in the first step; it falls to half of it."""

    guidance: float = 7.5
    """Classifier-free guidance; 1 or less turns it off."""

    negative_prompt: str = ""
    """What the pictures should not show."""

    sampler: SamplerName = "ddim"
    """How noise becomes a picture; a given picture needs ddim."""

    seed: int = free(0, because="what a picture is names it")
    """Decides the noise of a generated source; -1 draws one."""

    width: Optional[int] = None
    """Width in pixels; the model's own size by default."""

    height: Optional[int] = None
    """Height in pixels; the model's own size by default."""

    fit: Fit = "keep"
    """How a picture comes to that size: with its own aspect and about that area (keep), without its sides (crop), with
    a mirrored border (pad), out of shape (stretch).
    """

    batch_size: int = free(4, because="an edit depends on its batch in last bits alone")
    """Edits that go through the UNet together."""

    def __post_init__(self) -> None:
        require_steps(self.steps)
        require_factor(guidance=self.guidance, **{f"reweight of {word!r}": c for word, c in self.reweight.items()})
        windows = {"cross_replace_steps": self.cross_replace_steps, "self_replace_steps": self.self_replace_steps}
        windows.update({f"word_steps of {word!r}": window for word, window in self.word_steps.items()})
        for name, (start, stop) in windows.items():
            require(0 <= start <= stop <= 1, f"{name} must be two shares of the steps in order, not {start} and {stop}")
        require_share(blend_start=self.blend_start)
        require(0 < self.blend_threshold < 1, f"blend_threshold must be between 0 and 1, not {self.blend_threshold}")
        require_at_least(0, self_level=self.self_level, blend_level=self.blend_level, fixed_point=self.fixed_point)
        require_at_least(0, null_text=self.null_text)
        require_positive(null_text_rate=self.null_text_rate)
        require(
            self.null_text == 0 or is_guided(self.guidance), "null_text changes nothing without guidance: leave it at 0"
        )
        for word in (*self.word_steps, *self.reweight, *self.blend_words):
            require(bool(word.strip()), "word_steps, reweight and blend_words must name words, not blanks")
        draw_seed(self)
        require_size(width=self.width, height=self.height)
        require_count(batch_size=self.batch_size)


@dataclass(frozen=True)
class EditInputs:
    """What to edit."""

    prompt: str
    """The source's text; of a given picture, what it shows."""

    target: tuple[str, ...] = ()
    """The edited texts, one a picture; may be left out where reweight says what to change."""

    output: ResultsFolder = Path("outputs/prompt_to_prompt")
    """Folder for the results; made where it is missing."""

    image: Optional[Picture] = None
    """Edit this picture, which is inverted, in place of one that is generated."""

    overwrite: bool = free(False, because="asks for the same pictures again")
    """Make finished pictures again."""

    @property
    def null_texts(self) -> Path:
        """Where null-text optimisation keeps what it has found."""
        return self.output / "null_texts"

    @property
    def folder(self) -> Path:
        """Where pictures go."""
        return self.output


@dataclass(frozen=True)
class EditSubject:
    """The source, ``target`` None, or an edit of it; ``image`` is the hash of a given picture's file, else ``seed`` is
    the noise's.
    """

    prompt: str
    target: Optional[str] = None
    seed: Optional[int] = None
    image: Optional[str] = None
    image_file: str = free("", because="the hash stands for it")
