"""A place in a technique: what such a picture shows, its captions, and the picture."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from recipes.tiny.drawings import TECHNIQUES, settings, techniques
from recipes.tiny.drawings.captions import TEMPLATES, WORKS
from recipes.tiny.drawings.layers import FINE, Layers, draw_numbers
from recipes.tiny.drawings.palette import find_colour
from recipes.tiny.drawings.shapes import Part
from recipes.tiny.sceneries import views

WORDS = {
    "sea": ("the sea", "an ocean"),
    "field": ("grass", "a meadow"),
    "snow": ("a snowy landscape", "snow and firs"),
    "night": ("a town at night",),
    "desert": ("a desert", "a desert with cactuses"),
    "forest": ("a forest", "woods"),
    "table": ("a table", "a kitchen"),
    "lake": ("a lake",),
    "river": ("a river",),
    "waterfall": ("a waterfall",),
    "canyon": ("a canyon",),
    "farm": ("a barn", "a farm"),
    "pool": ("a pool", "a swimming pool"),
    "library": ("a library", "a shelf"),
    "market": ("a market", "a market stall"),
}
"""What captions call each place; the first half the time."""

SCENERIES = tuple(WORDS)
_HELD_OUT = 10  # one pair in so many
_SHORT = 0.1  # the share of captions that name nothing but the place


@dataclass(frozen=True)
class Scenery:
    """What a picture shows. Raises ValueError for words that are not known."""

    place: str
    technique: str
    seed: int

    def __post_init__(self) -> None:
        for name, known in (("place", SCENERIES), ("technique", TECHNIQUES)):
            if getattr(self, name) not in known:
                raise ValueError(f"no {name} {getattr(self, name)!r}: there are {', '.join(known)}")


def is_held_out(place: str, technique: str) -> bool:
    """Whether this pair is kept out of training: about one in ten is, by a hash of its words."""
    digest = hashlib.sha256(f"{place}|{technique}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % _HELD_OUT == 0


def sample_scenery(rng: np.random.Generator) -> Scenery:
    """A scenery for training: each pair that is not kept from it is as frequent as another."""
    pairs = [(place, one) for place in SCENERIES for one in TECHNIQUES if not is_held_out(place, one)]
    place, technique = pairs[rng.integers(len(pairs))]
    return Scenery(place, technique, int(rng.integers(2**32)))


def caption(scenery: Scenery, rng: np.random.Generator) -> str:
    """A caption in one of several forms; some are as short as people's prompts are, the place's word alone."""
    words, works = WORDS[scenery.place], WORKS[scenery.technique]
    thing = words[0] if rng.random() < 0.5 else words[rng.integers(len(words))]
    if rng.random() < _SHORT:
        return thing.removeprefix("a ").removeprefix("an ").removeprefix("the ")
    return TEMPLATES[rng.integers(len(TEMPLATES))].format(
        thing=thing,
        technique=scenery.technique,
        work=works[rng.integers(len(works))],
    )


def render(scenery: Scenery, size: int = 128) -> np.ndarray:
    """The picture as (size, size, 3) uint8, always the same for a scenery; `size` is a multiple of 32."""
    rng = np.random.default_rng([scenery.seed, 0])
    parts = _list_parts(scenery.place, rng)
    if rng.random() < 0.5:
        parts = [part._replace(outline=part.outline * (-1, 1) + (100, 0)) for part in parts]
    light = rng.uniform(0.94, 1.05, 3).astype(np.float32) * np.float32(rng.uniform(0.94, 1.03))
    layers = Layers(
        size=size,
        image=draw_numbers(parts, FINE * size),
        colours=np.array([np.minimum(find_colour(part.role, "white") * light, 1) for part in parts], np.float32),
        is_object=np.zeros(len(parts), bool),
        quiet=np.array([part.quiet for part in parts]),
    )
    picture = techniques.DRAWN_BY[scenery.technique](layers, np.random.default_rng([scenery.seed, 1]))
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _list_parts(place: str, rng: np.random.Generator) -> list[Part]:
    if place in views.DRAWN_BY:
        return views.DRAWN_BY[place](rng)
    behind, before = settings.DRAWN_BY[place](rng)
    return [*behind, *before]
