"""How prompts are read: the weights that people write into them, and texts that are longer than the model's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jstyle.settings.fields import later

PromptWeights = Literal["none", "a1111"]
LongPrompts = Literal["cut", "chunk"]


@dataclass(frozen=True)
class PromptSettings:
    """How texts are read."""

    prompt_weights: PromptWeights = later("none")
    """a1111 reads (word), (word:1.3), [word] and the escape \\( as A1111's web UI does; none takes brackets as text."""

    long_prompts: LongPrompts = later("cut")
    """What becomes of texts of over 77 tokens: cut loses the end; chunk reads chunks of 75, parted at commas and by the
    word BREAK.
    """
