"""What a picture of an icon shows: a noun in a style on a ground, and a seed, from which everything else follows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from recipes.tiny.drawings import SETTINGS, TECHNIQUES
from recipes.tiny.icons.cutouts import Catalogue
from recipes.tiny.icons.families import FAMILIES, STYLES

SHADED = "shaded"
GROUNDS = ("plain", SHADED, *(setting for setting in SETTINGS if setting != "plain"))
"""What icons stand on: one colour, a soft shade, or a setting of the drawings."""

_PURPOSES = ("layout", "ground", "technique")
_EVEN = ("plain", SHADED)
_ON_EVEN = {"family": 0.65, "technique": 0.35}  # the share of pictures that are on an even ground
_HELD_OUT = 10  # one pair in so many


@dataclass(frozen=True)
class IconScene:
    """What a picture shows. Raises ValueError for words that are not known."""

    noun: str
    """The icon's name in the catalogue."""
    family: str
    """The family whose icon it is."""
    technique: Optional[str]
    """The drawings' technique in which it is drawn anew, None as the family drew it."""
    ground: str
    seed: int

    def __post_init__(self) -> None:
        for name, known in (("family", STYLES), ("technique", (None, *TECHNIQUES)), ("ground", GROUNDS)):
            if getattr(self, name) not in known:
                raise ValueError(f"no {name} {getattr(self, name)!r}: there are {', '.join(map(str, known))}")

    @property
    def style(self) -> str:
        """The word for its style: the technique's or the family's."""
        return self.technique or self.family

    def rng(self, purpose: str) -> np.random.Generator:
        """A source of random numbers for one purpose ("layout", "ground", "technique"), each time the same ones."""
        return np.random.default_rng([self.seed, 1 + _PURPOSES.index(purpose)])


def is_held_out(noun: str, style: str) -> bool:
    """Whether this pair is kept out of training: one in ten is, by a hash of its words."""
    digest = hashlib.sha256(f"{noun}|{style}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % _HELD_OUT == 0


def sample_icon(
    rng: np.random.Generator, catalogue: Catalogue, drawn_anew: float = 0.25, *, unseen: bool = False
) -> IconScene:
    """A scene for training, or (`unseen`) of a pair of noun and style that is kept out of it.

    ``drawn_anew`` is the share of icons that are drawn in one of the drawings' techniques. Each noun is as frequent as
    another, and so is each style of its kind.
    """
    nouns = sorted(catalogue)
    anew = rng.random() < drawn_anew
    while True:
        noun = nouns[rng.integers(len(nouns))]
        families = [family.name for family in FAMILIES if family.name in catalogue[noun] and (family.flat or not anew)]
        styles = [style for style in (TECHNIQUES if anew else families) if is_held_out(noun, style) == unseen]
        if styles and families:
            break
    style = _pick(rng, styles)
    even = rng.random() < _ON_EVEN["technique" if anew else "family"]
    return IconScene(
        noun=noun,
        family=_pick(rng, families) if anew else style,
        technique=style if anew else None,
        ground=_pick(rng, _choose_grounds(even, anew)),
        seed=int(rng.integers(2**32)),
    )


def _choose_grounds(even: bool, anew: bool) -> Sequence[str]:
    if even:
        return ("plain",) if anew else _EVEN  # a technique draws parts, and a shade has none
    return [ground for ground in GROUNDS if ground not in _EVEN]


def _pick(rng: np.random.Generator, words: Sequence[str]) -> str:
    return words[rng.integers(len(words))]
