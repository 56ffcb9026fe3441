"""Words of a prompt: where they stand in its text, and which tokens they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jstyle.diffusion.prompts import Span, locate_tokens
from jstyle.errors import InputError
from jstyle.methods.prompt_to_prompt.settings import PromptToPromptSettings


@dataclass(frozen=True)
class Located:
    """A prompt's tokens, both ends but no padding: ids, and the characters that each was read from."""

    prompt: str
    ids: Sequence[int]
    spans: Sequence[Span]

    @classmethod
    def read(cls, tokenizer: Any, prompt: str) -> Located:
        """The prompt as the tokenizer reads it."""
        return cls(prompt, *locate_tokens(tokenizer, prompt))

    def find_tokens(self, places: Iterable[Span]) -> list[int]:
        """The places, among the tokens, of those that were read from any of these characters."""
        wanted = list(places)
        return [
            place
            for place, (start, stop) in enumerate(self.spans)
            if any(start < end and begin < stop for begin, end in wanted)
        ]

    def tokens_of(self, word: str) -> list[int]:
        """The places of a word's tokens, wherever it stands in the prompt."""
        return self.find_tokens(find_word(self.prompt, word))


def find_word(text: str, word: str) -> list[Span]:
    """Where a word, or several side by side, stands in a text, whatever its case; not within other words."""
    parts = r"\s+".join(map(re.escape, word.split()))
    return [match.span() for match in re.finditer(rf"(?<!\w){parts}(?!\w)", text, re.IGNORECASE)]


def split_words(text: str) -> list[Span]:
    """Where the words of a text stand: what lies between blanks."""
    return [match.span() for match in re.finditer(r"\S+", text)]


def choose_targets(settings: PromptToPromptSettings, prompt: str, targets: Sequence[str]) -> list[str]:
    """The texts of the edits: where none is given, the source's own, whose words are then reweighted.

    Raises InputError where there is nothing to change, where words are named that stand nowhere, and where replacing
    words needs as many in both texts.
    """
    if not targets and not settings.reweight:
        raise InputError("there is nothing to change: give --target, the edited text, or --reweight, such as {snow: 3}")
    texts = list(targets) or [prompt]
    for name, words in (("reweight", settings.reweight), ("word_steps", settings.word_steps)):
        for word in words:
            if not any(find_word(text, word) for text in texts):
                raise InputError(f"{name}: {word!r} stands in none of the edited texts; name a word of {texts[0]!r}")
    for text in texts:
        if settings.blend_words and not any(
            find_word(both, word) for both in (prompt, text) for word in settings.blend_words
        ):
            raise InputError(
                f"blend_words: none of {', '.join(settings.blend_words)} stands in {prompt!r} or in {text!r}"
            )
        counts = len(split_words(prompt)), len(split_words(text))
        if settings.edit == "replace" and counts[0] != counts[1]:
            raise InputError(
                f"edit replace needs as many words in both texts, but {prompt!r} has {counts[0]} and {text!r} "
                f"{counts[1]}; use --edit refine, or auto"
            )
    return texts
