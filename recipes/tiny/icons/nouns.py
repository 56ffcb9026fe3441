"""The nouns: which icons are drawn, and in which words captions speak of them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from recipes.tiny.drawings.captions import add_article

_FILE = Path(__file__).with_name("nouns.txt")


class Noun(NamedTuple):
    """A word as a prompt has it, and as a caption does: "apple" and "an apple", "milk" and "milk"."""

    word: str
    thing: str


@lru_cache(maxsize=1)
def read_nouns() -> dict[str, tuple[Noun, ...]]:
    """The nouns for each icon, by the icon's name; the first is what prompts would call it."""
    nouns = {}
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        name, _, words = line.partition(":")
        if name and not name.startswith("#"):
            nouns[name] = tuple(map(_read_noun, (words or name.replace("-", " ")).split(",")))
    return nouns


def _read_noun(text: str) -> Noun:
    word, bar, thing = text.strip().partition("|")
    return Noun(word, (thing or word) if bar else add_article(word))
