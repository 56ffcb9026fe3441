"""Where an icon is in its picture, how large and how turned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from recipes.tiny.icons.scene import SHADED, IconScene

_MARGIN = 0.03  # of the side, which an icon keeps from the picture's edges


@dataclass(frozen=True)
class Place:
    """The middle of an icon and its longer side, in shares of the picture's side."""

    x: float
    y: float
    size: float
    degrees: float
    stands: bool
    """Whether it stands on the ground and casts a shadow there."""


def choose_place(scene: IconScene, aspect: float) -> Place:
    """The scene's place for an icon that is ``aspect`` times as wide as it is high."""
    rng = scene.rng("layout")
    even = scene.ground in ("plain", SHADED)
    size = rng.uniform(0.64, 0.88) if even else rng.uniform(0.56, 0.74)
    degrees = rng.uniform(-8, 8) if even else rng.uniform(-4, 4)
    stands = not even and bool(rng.random() < 0.6)
    wide, high = _measure(size, aspect, degrees)
    room = 0.5 - _MARGIN - wide / 2
    above = 0.5 - _MARGIN - high / 2
    y = rng.uniform(0.86, 0.92) - high / 2 if stands else 0.5 + above * rng.uniform(-0.6, 0.6)
    return Place(0.5 + room * rng.uniform(-1, 1), y, size, degrees, stands)


def put(cutout: Image.Image, place: Place, side: int) -> Image.Image:
    """The cut-out at its place in an empty square of this many pixels, RGBA."""
    scale = place.size * side / max(cutout.size)
    wide, high = (max(1, round(scale * length)) for length in cutout.size)
    framed = Image.new("RGBA", (wide + 4, high + 4))  # turned without a frame, straight edges would be steps
    framed.paste(cutout.resize((wide, high), Image.Resampling.LANCZOS), (2, 2))
    turned = framed.rotate(place.degrees, Image.Resampling.BICUBIC, expand=True)
    square = Image.new("RGBA", (side, side))
    corner = (round(place.x * side - turned.width / 2), round(place.y * side - turned.height / 2))
    square.paste(turned, corner)
    return square


def _measure(size: float, aspect: float, degrees: float) -> tuple[float, float]:
    """Width and height of what holds the turned icon."""
    wide, high = (size, size / aspect) if aspect >= 1 else (size * aspect, size)
    c, s = abs(np.cos(np.radians(degrees))), abs(np.sin(np.radians(degrees)))
    return wide * c + high * s, wide * s + high * c
