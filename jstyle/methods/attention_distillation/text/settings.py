"""The settings and inputs of texts in styles, and what one of their pictures is of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jstyle.methods.attention_distillation.settings import Distillation, require_weights
from jstyle.settings.fields import flat, free, require
from jstyle.settings.paths import Pictures, Results, choose_folder, names_picture
from jstyle.settings.prompts import PromptSettings
from jstyle.settings.vocabulary import require_count, require_finite


@dataclass(frozen=True)
class DistilledTextSettings(Distillation):
    """How texts come into styles; the defaults are those of the paper's code."""

    steps: int = 50
    """Sampling steps (DDIM), after each of which the latent is moved towards the style."""

    iterations: int = 3
    """Updates of the latent after each step."""

    rate: float = 0.015
    """The learning rate (Adam, begun anew after each step)."""

    adain: bool = True
    """Give the latent the mean and deviation per channel of the style's before it is moved."""

    guidance: float = 7.5
    """How much the text counts (classifier-free guidance); 1 or less turns it off."""

    negative_prompt: str = ""
    """What the pictures should not show."""

    reading: PromptSettings = flat(PromptSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_finite(guidance=self.guidance)


@dataclass(frozen=True)
class DistilledTextInputs:
    """What to make."""

    prompt: tuple[str, ...]
    """One or more texts; the empty one, best at a guidance of 1, makes a texture."""

    style: tuple[Pictures, ...]
    """Pictures, or folders of pictures, whose style is taken."""

    output: Results
    """Folder for the results, made where it is missing; of a single picture its file, which ends in .png."""

    mix: tuple[float, ...] = ()
    """Take the styles together as one, with these weights, one each."""

    images: int = 1
    """Pictures of each text in each style, with seeds that count up."""

    overwrite: bool = free(False, because="asks for the same picture again")
    """Make finished pictures again."""

    def __post_init__(self) -> None:
        require_weights(self.mix)
        require_count(images=self.images)
        single = len(self.prompt) == self.images == 1 and (len(self.style) == 1 or bool(self.mix))
        require(
            single or not names_picture(self.output),
            f"{str(self.output)!r} is one file: give one prompt and one style, or name a folder as output",
        )

    @property
    def folder(self) -> Path:
        """Where pictures go."""
        return choose_folder(self.output)


@dataclass(frozen=True)
class StyledTextSubject:
    """A text in a style, by the hash of its file."""

    prompt: str
    style: str
    seed: int
    style_file: str = free("", because="the hash stands for it")
