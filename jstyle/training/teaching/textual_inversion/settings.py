"""The settings of a textual inversion."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Optional

from jstyle.settings.fields import require
from jstyle.settings.vocabulary import require_word
from jstyle.training.settings import LoopSettings
from jstyle.training.teaching.settings import TeachSettings


@dataclass(frozen=True)
class TextualInversionSettings(TeachSettings):
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
        require_word(self.token)
        require(1 <= self.vectors <= 70, f"vectors must be from 1 to 70, not {self.vectors}")
        require(self.prompt is None or "{token}" in self.prompt, "prompt must contain {token}, the new word")
