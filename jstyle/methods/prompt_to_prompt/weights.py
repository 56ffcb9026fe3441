"""What every token of an edit takes from the source at every step (arXiv 2208.01626, section 3.2).

With the source's attention A carried over by an alignment M, the edit's own A*, a window w, factors c and s = 1 for
tokens that have a counterpart, the paper's rules are one: w c (s A M + (1 - s) A*) + (1 - w) A*. It is linear in A and
A*, so it is two attentions with weighed values, and no matrix of attention is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jstyle.methods.prompt_to_prompt.alignment import align
from jstyle.methods.prompt_to_prompt.settings import PromptToPromptSettings, Window, choose_word_calls
from jstyle.methods.prompt_to_prompt.words import Located


@dataclass(frozen=True)
class CrossWeights:
    """Of a step: ``source`` (rows, source's tokens, edit's tokens) weighs the source's attention, ``own`` (rows, edit's
    tokens) the edit's.
    """

    source: np.ndarray
    own: np.ndarray

    @property
    def uses_source(self) -> bool:
        """Whether anything is taken from the source."""
        return bool(self.source.any())

    @property
    def uses_own(self) -> bool:
        """Whether anything of the edits' own attention is left."""
        return bool(self.own.any())


class EditWeights:
    """The weights of some edits of one source, at each of ``calls`` calls of the UNet."""

    def __init__(
        self, tokenizer: Any, prompt: str, targets: Sequence[str], settings: PromptToPromptSettings, calls: int
    ) -> None:
        length = tokenizer.model_max_length
        source = Located.read(tokenizer, prompt)
        located = [Located.read(tokenizer, target) for target in targets]
        alignments = [align(source, target, length, settings.edit) for target in located]
        self._matrices = np.stack([alignment.matrix for alignment in alignments])
        self._aligned = np.stack([alignment.aligned for alignment in alignments])
        self._windows = np.stack([draw_windows(target, length, settings, calls) for target in located], axis=1)
        self._factors = np.stack([weigh_words(target, length, settings) for target in located])
        words = settings.blend_words
        self.blended = np.stack([mark_words(prompt, length, words) for prompt in (source, *located)])

    def at(self, call: int) -> CrossWeights:
        """The weights at a call."""
        window = self._windows[call]
        edited = window * self._factors
        source = self._matrices * (edited * self._aligned)[:, None, :]
        return CrossWeights(source.astype(np.float32), (edited * ~self._aligned + (1 - window)).astype(np.float32))


def draw_windows(target: Located, length: int, settings: PromptToPromptSettings, calls: int) -> np.ndarray:
    """1 where a token (calls, length) follows the source, else 0."""
    windows = np.zeros((calls, length), np.float32)

    def open_window(places: Any, window: Window) -> None:
        opened = choose_word_calls(window, calls)
        windows[:, places] = 0
        windows[opened.start : opened.stop, places] = 1

    open_window(slice(None), settings.cross_replace_steps)
    for word, window in settings.word_steps.items():
        open_window(target.tokens_of(word), window)
    return windows


def weigh_words(target: Located, length: int, settings: PromptToPromptSettings) -> np.ndarray:
    """The factor on every token (length,)."""
    factors = np.ones(length, np.float32)
    for word, factor in settings.reweight.items():
        factors[target.tokens_of(word)] *= factor
    return factors


def mark_words(prompt: Located, length: int, words: Sequence[str]) -> np.ndarray:
    """1 for the tokens (length,) of any of these words, else 0."""
    marks = np.zeros(length, np.float32)
    for word in words:
        marks[prompt.tokens_of(word)] = 1
    return marks
