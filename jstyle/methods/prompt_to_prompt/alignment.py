"""Which of the source's tokens an edited text's tokens take their attention from (arXiv 2208.01626, section 3.2).

Whatever a word's tokens become, those behind it keep to their own counterparts: the paper's code goes on at the same
place in both texts, so that a word of another length shifts everything after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jstyle.methods.prompt_to_prompt.words import Located, split_words

_MISMATCH = -1
_MATCH = 1


@dataclass(frozen=True)
class Alignment:
    """``matrix`` (source's tokens, target's tokens), padding counted, carries attention from those over to these.

    A target's token has a counterpart where ``aligned`` (tokens,) is true; the others keep their own attention.
    """

    matrix: np.ndarray

    @property
    def aligned(self) -> np.ndarray:
        """For each of the target's tokens whether anything is carried over to it."""
        return self.matrix.any(axis=0)


def align(source: Located, target: Located, length: int, edit: str) -> Alignment:
    """Align two prompts of ``length`` tokens, padding counted. ``edit`` is "replace", "refine", or "auto"."""
    as_many = len(split_words(source.prompt)) == len(split_words(target.prompt))
    replaces = edit == "replace" or (edit == "auto" and as_many)
    return (align_words if replaces else align_sequences)(source, target, length)


def align_words(source: Located, target: Located, length: int) -> Alignment:
    """Word by word, of prompts with as many words: what each of the source's tokens has is handed on whole.

    A word's tokens keep what they have in common at either end; between, all share alike.
    """
    matrix = np.zeros((length, length), np.float32)
    matrix[0, 0] = 1
    for here, there in zip(split_words(source.prompt), split_words(target.prompt)):
        _share(matrix, source.ids, target.ids, source.find_tokens([here]), target.find_tokens([there]))
    _hand_on_ends(matrix, len(source.ids) - 1, len(target.ids) - 1)
    return Alignment(matrix)


def _share(
    matrix: np.ndarray, ids: Sequence[int], other_ids: Sequence[int], tokens: Sequence[int], others: Sequence[int]
) -> None:
    """Hand a word's tokens on to those of the word in its place, all that they have."""
    if len(tokens) == len(others):
        matrix[tokens, others] = 1
        return
    first = _count_common([ids[i] for i in tokens], [other_ids[j] for j in others])
    matrix[tokens[:first], others[:first]] = 1
    left, free = tokens[first:], others[first:]
    last = _count_common([ids[i] for i in left[::-1]], [other_ids[j] for j in free[::-1]])
    matrix[left[len(left) - last :], free[len(free) - last :]] = 1
    left, free = left[: len(left) - last], free[: len(free) - last] or others[max(first - 1, 0) :][:1]
    if free:
        matrix[np.ix_(left, free)] = 1 / len(free)


def _count_common(ids: Sequence[int], others: Sequence[int]) -> int:
    """With how many equal ids two sequences begin."""
    return next((n for n, (one, other) in enumerate(zip(ids, others)) if one != other), min(len(ids), len(others)))


def _hand_on_ends(matrix: np.ndarray, end: int, other_end: int) -> None:
    """The end's token to the other's, and padding to the padding at the same place, as far as there is any."""
    last = len(matrix) - 1
    matrix[end, other_end] = 1
    for place in range(end + 1, last + 1):
        matrix[place, min(max(place, other_end + 1), last)] = 1
    if other_end < end < last:
        places = np.arange(other_end + 1, end + 2)
        matrix[end + 1] = 0
        matrix[end + 1, places] = 1 / len(places)


def align_sequences(source: Located, target: Located, length: int) -> Alignment:
    """The longest common sequence of tokens: each of its target's takes over what the source's has.

    Padding takes over that at the same place.
    """
    matrix = np.zeros((length, length), np.float32)
    for place, other in match_sequences(source.ids, target.ids):
        matrix[place, other] = 1
    padding = np.arange(max(len(source.ids), len(target.ids)), length)
    matrix[padding, padding] = 1
    return Alignment(matrix)


def match_sequences(ids: Sequence[int], others: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of places of equal ids, in order, by Needleman and Wunsch's alignment with free gaps.

    Of alignments that are as good, it is the one that the paper's code takes: going back from the end, what was added
    comes before what was left out, and that before a match.
    """
    scores = np.zeros((len(ids) + 1, len(others) + 1), int)
    for i, one in enumerate(ids, 1):
        for j, other in enumerate(others, 1):
            match = scores[i - 1, j - 1] + (_MATCH if one == other else _MISMATCH)
            scores[i, j] = max(scores[i, j - 1], scores[i - 1, j], match)
    i, j, pairs = len(ids), len(others), []
    while i and j:
        if scores[i, j] == scores[i, j - 1]:
            j -= 1
        elif scores[i, j] == scores[i - 1, j]:
            i -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]
