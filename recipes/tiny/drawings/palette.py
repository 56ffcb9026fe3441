"""Colours: those that captions name, others that objects also have, and what techniques do to them.

A table of colours is float32 (colours, 3) in [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Union

import numpy as np

from recipes.tiny.drawings.shapes import Colour

COLOUR_VALUES: dict[str, Colour] = {
    "red": (212, 38, 42),
    "orange": (246, 130, 28),
    "yellow": (250, 212, 48),
    "green": (56, 158, 66),
    "turquoise": (40, 196, 186),
    "blue": (40, 92, 204),
    "purple": (128, 62, 172),
    "pink": (246, 128, 178),
    "brown": (120, 74, 44),
    "white": (248, 246, 240),
}
"""The colours that an object can have, by the words for them."""

_FIXED: dict[str, Colour] = {
    "ink": (44, 40, 52),
    "cream": (252, 244, 222),
    "gold": (252, 200, 72),
    "leaf": (70, 140, 66),
    "wood": (134, 90, 56),
    "coffee": (84, 50, 34),
    "glass": (188, 222, 236),
    "stone": (128, 124, 128),
    "beak": (240, 156, 48),
}


_ON_WHITE: dict[str, Colour] = {"dark": (184, 187, 197), "light": (220, 224, 234), "cream": (228, 208, 172)}
"""What stands out from a white object."""


def find_colour(role: Union[str, Colour], colour: str) -> np.ndarray:
    """The colour (3,) of a role in an object of this colour: "main", "dark" and "light" depend on it, few others do."""
    main = np.array(COLOUR_VALUES[colour], np.float32) / 255
    if role == "main":
        return main
    if colour == "white" and role in _ON_WHITE:
        return np.array(_ON_WHITE[str(role)], np.float32) / 255
    if role == "dark":
        return main * 0.66
    if role == "light":
        return main * 0.6 + 0.4 * np.array([1, 0.98, 0.92], np.float32)
    return np.array(_FIXED[role] if isinstance(role, str) else role, np.float32) / 255


def luminance(colours: np.ndarray) -> np.ndarray:
    """The brightness of colours or of a picture (..., 3), (...) (ITU-R BT.601)."""
    return colours @ np.array([0.299, 0.587, 0.114], np.float32)


def saturate(colours: np.ndarray, amount: float | np.ndarray) -> np.ndarray:
    """Colours moved away from grey (amount above 1) or towards it."""
    grey = luminance(colours)[..., None]
    return np.clip(grey + amount * (colours - grey), 0, 1)


def mix(colours: np.ndarray, other: Colour, share: float) -> np.ndarray:
    """The colours, each mixed with this share of another colour."""
    return colours * (1 - share) + share * np.array(other, np.float32) / 255


def brighten(colours: np.ndarray, value: float = 1.0) -> np.ndarray:
    """Each colour as bright as its hue allows, times `value`, like light or glass of that colour."""
    return colours / np.maximum(colours.max(-1, keepdims=True), 0.05) * value


def cover(picture: np.ndarray, alpha: np.ndarray, colour: np.ndarray | tuple[float, float, float]) -> np.ndarray:
    """A picture covered with a colour, or with another picture, as far as alpha (size, size) says; 1 hides it."""
    share = np.stack([alpha, alpha, alpha], -1)  # NumPy is slow at repeating along a short last axis
    added = share * colour if isinstance(colour, np.ndarray) and colour.ndim == 3 else spread_colour(alpha, colour)
    return picture - share * picture + added


def spread_colour(alpha: np.ndarray, colour: Iterable[float]) -> np.ndarray:
    """A colour times alpha (size, size), (size, size, 3)."""
    return np.stack([alpha * np.float32(channel) for channel in colour], -1)
