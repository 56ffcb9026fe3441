"""Colours: those that captions name, those that objects have besides, and what techniques do to them.

A table of colours is float32 (colours, 3) in [0, 1].
"""

from __future__ import annotations

from typing import Dict, Iterable, Union

import numpy as np

from recipes.tiny.drawings.shapes import Colour

COLOUR_VALUES: Dict[str, Colour] = {
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

_FIXED: Dict[str, Colour] = {
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


_ON_WHITE: Dict[str, Colour] = {"dark": (184, 187, 197), "light": (220, 224, 234), "cream": (228, 208, 172)}
"""What stands out from a white object."""


def role_colour(role: Union[str, Colour], colour: str) -> np.ndarray:
    """What "main", "dark" and "light" are for an object of this colour; most other roles are the same for all."""
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
    return colours @ np.array([0.299, 0.587, 0.114], np.float32)


def saturated(colours: np.ndarray, amount: float | np.ndarray) -> np.ndarray:
    """Colours moved away from grey (amount above 1) or towards it."""
    grey = luminance(colours)[..., None]
    return np.clip(grey + amount * (colours - grey), 0, 1)


def mixed(colours: np.ndarray, other: Colour, share: float) -> np.ndarray:
    """`share` of another colour in each."""
    return colours * (1 - share) + share * np.array(other, np.float32) / 255


def vivid(colours: np.ndarray, value: float = 1.0) -> np.ndarray:
    """Each colour as bright as its hue allows, times `value`: what light or glass of that colour looks like."""
    return colours / np.maximum(colours.max(-1, keepdims=True), 0.05) * value


def over(picture: np.ndarray, alpha: np.ndarray, colour: np.ndarray | tuple[float, float, float]) -> np.ndarray:
    """A picture under a colour, or under another picture, that is laid on where alpha, (size, size), is 1."""
    share = np.stack([alpha, alpha, alpha], -1)  # NumPy is slow at repeating along a short last axis
    added = share * colour if isinstance(colour, np.ndarray) and colour.ndim == 3 else filled(alpha, colour)
    return picture - share * picture + added


def filled(alpha: np.ndarray, colour: Iterable[float]) -> np.ndarray:
    """(size, size, 3): one colour times alpha."""
    return np.stack([alpha * np.float32(channel) for channel in colour], -1)
