"""Scenes in plain words."""

from __future__ import annotations

import numpy as np

from recipes.tiny.drawings.scene import MONOCHROME, Scene

PLACES = {
    "sea": "by the sea",
    "field": "in a field",
    "snow": "in the snow",
    "night": "in a town at night",
    "desert": "in the desert",
    "forest": "in a forest",
    "table": "on a table",
    "plain": "on a plain background",
}
"""The words for each setting."""

WORKS = {
    "poster": ("a poster", "a flat poster"),
    "hatching": ("an ink drawing", "a hatching", "a pen and ink drawing"),
    "watercolour": ("a watercolour", "a watercolour painting", "a watercolor"),
    "oil": ("an oil painting", "oil on canvas"),
    "pointillism": ("a pointillist painting", "a painting in dots"),
    "mosaic": ("a mosaic", "a stone mosaic"),
    "pixel art": ("pixel art", "a pixel art picture"),
    "neon": ("a neon sign", "neon lights"),
    "sepia": ("a sepia photograph", "an old sepia photograph"),
    "woodcut": ("a woodcut", "a woodcut print"),
    "chalk": ("a chalk drawing", "chalk on slate"),
    "stained glass": ("stained glass", "a stained glass window"),
}
"""The words for a picture in each technique, besides the technique's name."""

TEMPLATES = (
    "{thing}, {technique}",
    "{thing}, {work}",
    "{work} of {thing}",
    "{technique}, {thing}",
    "{thing} in {technique} style",
)
"""The forms of captions."""


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """A caption for the scene, in one of several forms; sometimes it leaves out the colour or the setting."""
    with_colour = rng.random() < 0.9 and scene.technique not in MONOCHROME
    with_setting = rng.random() < (0.4 if scene.setting == "plain" else 0.85)
    thing = add_article(f"{scene.colour} {scene.object}" if with_colour else scene.object)
    works = WORKS[scene.technique]
    return TEMPLATES[rng.integers(len(TEMPLATES))].format(
        thing=f"{thing} {PLACES[scene.setting]}" if with_setting else thing,
        technique=scene.technique,
        work=works[rng.integers(len(works))],
    )


def add_article(noun: str) -> str:
    """The noun after "a" or "an"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
