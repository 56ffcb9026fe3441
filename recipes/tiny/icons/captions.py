"""Pictures of icons in plain words."""

from __future__ import annotations

import numpy as np

from recipes.tiny.drawings.captions import PLACES, TEMPLATES, WORKS
from recipes.tiny.icons.families import find_family
from recipes.tiny.icons.nouns import read_nouns
from recipes.tiny.icons.scene import SHADED, IconScene

_BARE = 0.15  # the share of captions that have no article
_WITHOUT_STYLE = 0.08


def caption(scene: IconScene, rng: np.random.Generator) -> str:
    """A caption for the scene, in one of several forms, with one of its nouns, the first at least half the time.

    Some are as short as people's prompts are: without the article, or without the style.
    """
    nouns = read_nouns()[scene.noun]
    noun = nouns[0] if rng.random() < 0.5 else nouns[rng.integers(len(nouns))]
    works = WORKS[scene.technique] if scene.technique else find_family(scene.family).words
    thing = f"{noun.word if rng.random() < _BARE else noun.thing}{_place(scene.ground, rng)}"
    if rng.random() < _WITHOUT_STYLE:
        return thing
    return TEMPLATES[rng.integers(len(TEMPLATES))].format(
        thing=thing, technique=scene.style, work=works[rng.integers(len(works))]
    )


def _place(ground: str, rng: np.random.Generator) -> str:
    """The words for the ground, sometimes none."""
    with_place = rng.random() < (0.3 if ground == "plain" else 0.85)
    return f" {PLACES[ground]}" if with_place and ground != SHADED else ""
