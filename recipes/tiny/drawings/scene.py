"""What a picture shows: four words and a seed, from which everything else follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional, Sequence

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
    """width : height, over what the object's own would be"""
    degrees: float
    flipped: bool
    variant: int


@dataclass(frozen=True)
class Scene:
    """The same seed gives the same layout in every technique, so that one scene can be drawn in all of them."""

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
        """Random numbers of this scene, the same ones each time, others for each purpose."""
        return np.random.default_rng([self.seed, _PURPOSES.index(purpose)])

    def redrawn(self, technique: str) -> Scene:
        """The same scene in another technique."""
        return replace(self, technique=technique)


_PURPOSES = ("layout", "setting", "technique")
_WORDS = {"object": OBJECTS, "colour": COLOURS, "setting": SETTINGS, "technique": TECHNIQUES}


def held_out(object: str, technique: str) -> bool:
    """Whether this pair is kept from training: one in ten, every object and every technique at least once."""
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
    """A scene of training, or (`unseen`) of the pairs of object and technique that are kept from it.

    Words that are given are kept; the others are drawn evenly from those left.
    """
    pairs = [
        (o, t)
        for o in (OBJECTS if object is None else (object,))
        for t in (TECHNIQUES if technique is None else (technique,))
        if held_out(o, t) == unseen
    ]
    if not pairs:
        kind = "kept from training" if unseen else "in training"
        raise ValueError(f"no pair of {object or 'any object'} and {technique or 'any technique'} is {kind}")
    pair = pairs[rng.integers(len(pairs))]
    return Scene(
        object=pair[0],
        colour=colour or _any(rng, COLOURS),
        setting=setting or _any(rng, SETTINGS),
        technique=pair[1],
        seed=int(rng.integers(2**32)),
    )


def _any(rng: np.random.Generator, words: Sequence[str]) -> str:
    return words[rng.integers(len(words))]
