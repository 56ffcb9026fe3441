"""The words that a model was taught, where its folder lists them: others are drawn as anything, so they are told."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Optional

from jstyle.errors import InputError

WORDS = "words.txt"
"""A word a line, in lower case. A model that was taught by all that the internet says has no such file."""

_WORD = re.compile(r"[^\W\d_]+")
_MOST_SHOWN = 8


def list_words(texts: Iterable[str]) -> set[str]:
    """The words of texts: runs of letters, in lower case."""
    return {word for text in texts for word in _WORD.findall(text.lower())}


def read_words(folder: Path) -> Optional[frozenset[str]]:
    """The words that a model's folder lists, or None. Raises InputError where its list cannot be read."""
    file = folder / WORDS
    if not file.is_file():
        return None
    try:
        return frozenset(file.read_text(encoding="utf-8").split())
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read ({error}); fetch the model again") from None


def describe_unknown_words(texts: Iterable[str], known: Collection[str], learnt: Iterable[str] = ()) -> str:
    """One line on the words of the texts that a model does not know, empty where there are none.

    ``learnt`` are words that it was taught since, which may be any text.
    """
    left = list(texts)
    for word in sorted(learnt, key=len, reverse=True):
        left = [text.replace(word, " ") for text in left]
    unknown = sorted(list_words(left) - set(known))
    if not unknown:
        return ""
    shown = ", ".join(unknown[:_MOST_SHOWN]) + (", ..." if len(unknown) > _MOST_SHOWN else "")
    return f"the model was not taught the words {shown}: they are drawn as anything"
