"""What a picture shows: four words and a seed, from which everything else follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Optional

import numpy as np

from recipes.tiny.drawings import objects, settings
from recipes.tiny.drawings.palette import COLOUR_VALUES

OBJECTS = tuple(objects.DRAWN_BY)
COLOURS = tuple(COLOUR_VALUES)
SETTINGS = tuple(settings.DRAWN_BY)
TECHNIQUES = (
    "poster",
    "hatching",
    "watercolour",
    "oil",
    "pointillism",
    "mosaic",
    "pixel art",
    "neon",
    "sepia",
    "woodcut",
    "chalk",
    "stained glass",
)
MONOCHROME = ("sepia",)
"""Techniques in which the object's colour cannot be seen."""


@dataclass(frozen=True)
class Layout:
    """Where the object is and how it is turned; lengths are fractions of the picture's side."""

    x: float
    y: float
    size: float
    squeeze: float
    """the factor by which width : height differs from the object's"""
    degrees: float
    flipped: bool
    variant: int


@dataclass(frozen=True)
class Scene:
    """What a picture shows. Raises ValueError for unknown words.

    The same seed gives the same layout in every technique, so that one scene can be drawn in all of them.
    """

    object: str
    colour: str
    setting: str
    technique: str
    seed: int

    def __post_init__(self) -> None:
        for kind, known in _WORDS.items():
            if getattr(self, kind) not in known:
                raise ValueError(f"no {kind} {getattr(self, kind)!r}: there are {', '.join(known)}")

    @property
    def layout(self) -> Layout:
        """Where the object is and how it is turned, drawn from the seed."""
        rng = self.rng("layout")
        afloat = self.object in objects.AFLOAT
        size = rng.uniform(0.57, 0.72) * objects.STRETCH.get(self.object, 1)
        squeeze = rng.uniform(0.92, 1.08)
        room = 0.46 - size * squeeze / 2
        foot = rng.uniform(0.86, 0.92)
        return Layout(
            x=0.5 + room * rng.uniform(-1, 1),
            y=0.47 + 0.7 * room * rng.uniform(-1, 1) if afloat else foot - size / 2,
            size=size,
            squeeze=squeeze,
            degrees=rng.uniform(-10, 10) if afloat else rng.uniform(-3, 3),
            flipped=bool(rng.integers(2)),
            variant=int(rng.integers(objects.VARIANTS)),
        )

    def rng(self, purpose: str) -> np.random.Generator:
        """A source of random numbers for one purpose ("layout", "setting", "technique"), each time the same ones."""
        return np.random.default_rng([self.seed, _PURPOSES.index(purpose)])

    def redraw(self, technique: str) -> Scene:
        """The same scene in another technique."""
        return replace(self, technique=technique)


_PURPOSES = ("layout", "setting", "technique")
_WORDS = {"object": OBJECTS, "colour": COLOURS, "setting": SETTINGS, "technique": TECHNIQUES}


def is_held_out(object: str, technique: str) -> bool:
    """Whether this pair is kept out of training: one in ten is, with every object and every technique among them."""
    i, j = OBJECTS.index(object), TECHNIQUES.index(technique)
    extra = i in (2, 7, 12) and j == (5 * i + 9) % len(TECHNIQUES)
    return extra or j == (5 * i + 2) % len(TECHNIQUES)


def sample_scene(
    rng: np.random.Generator,
    *,
    object: Optional[str] = None,
    colour: Optional[str] = None,
    setting: Optional[str] = None,
    technique: Optional[str] = None,
    unseen: bool = False,
) -> Scene:
    """A scene for training, or (`unseen`) one of the pairs of object and technique that are kept out of it.

    The words given are used; the others are drawn, each with the same probability. Raises ValueError where no such
    pair is left.
    """
    pairs = [
        (o, t)
        for o in (OBJECTS if object is None else (object,))
        for t in (TECHNIQUES if technique is None else (technique,))
        if is_held_out(o, t) == unseen
    ]
    if not pairs:
        kind = "kept from training" if unseen else "in training"
        raise ValueError(f"no pair of {object or 'any object'} and {technique or 'any technique'} is {kind}")
    pair = pairs[rng.integers(len(pairs))]
    return Scene(
        object=pair[0],
        colour=colour or _pick(rng, COLOURS),
        setting=setting or _pick(rng, SETTINGS),
        technique=pair[1],
        seed=int(rng.integers(2**32)),
    )


def _pick(rng: np.random.Generator, words: Sequence[str]) -> str:
    return words[rng.integers(len(words))]
