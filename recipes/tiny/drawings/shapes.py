"""Outlines that pictures are made of: closed polygons, in hundredths of a square from its upper left corner."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, Optional, Union

import numpy as np

Colour = tuple[int, int, int]


class Part(NamedTuple):
    """One shape, filled with one colour. Parts are laid over one another in order."""

    outline: np.ndarray
    """(corners, 2), x and y"""
    role: Union[str, Colour]
    """A colour, or the name of one of the object's colours; see `palette.find_colour`."""
    quiet: bool = False
    """Whether it is without a contour in pictures that are drawn with lines."""


@lru_cache(maxsize=None)
def polygon(text: str) -> np.ndarray:
    """The corners written as "x y, x y", (corners, 2)."""
    return np.array([pair.split() for pair in text.split(",")], np.float32)


@lru_cache(maxsize=None)
def smooth(text: str, steps: int = 6) -> np.ndarray:
    """A closed Catmull-Rom curve through the points."""
    p = polygon(text)
    return spline(np.concatenate([p[-1:], p, p[:2]]), steps)


@lru_cache(maxsize=None)
def curve(text: str, width: float, steps: int = 6) -> np.ndarray:
    """An open Catmull-Rom curve through the points, as the outline of a stroke."""
    p = polygon(text)
    path = spline(np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]]), steps)
    return stroke(np.concatenate([path, p[-1:]]), width)


def spline(p: np.ndarray, steps: int) -> np.ndarray:
    """Points on the Catmull-Rom curve from the second to the last but one of the points p (corners, 2), (n, 2)."""
    t = (np.arange(steps, dtype=np.float32) / steps)[None, :, None]
    a, b, c, d = (p[i : len(p) - 3 + i, None] for i in range(4))
    between = b + 0.5 * t * (c - a) + t**2 * (a - 2.5 * b + 2 * c - 0.5 * d) + t**3 * (1.5 * (b - c) + 0.5 * (d - a))
    return between.reshape(-1, 2)


def stroke(path: np.ndarray, width: float) -> np.ndarray:
    """The outline of a line of this width along the path."""
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.hypot(along[:, :1], along[:, 1:]), 1e-6)
    side = np.stack([-along[:, 1], along[:, 0]], 1) * (width / 2)
    return np.concatenate([path + side, (path - side)[::-1]])


_TURN = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], 1).astype(np.float32)


def ellipse(x: float, y: float, rx: float, ry: Optional[float] = None, angle: float = 0) -> np.ndarray:
    """An ellipse about (x, y); `angle` is that of `rx` to the x axis in degrees, clockwise as y points down."""
    flat = _CIRCLE * (rx, rx if ry is None else ry)
    if angle:
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        flat = flat @ np.array([[c, s], [-s, c]])
    return flat + (x, y)


def box(x: float, y: float, width: float, height: float) -> np.ndarray:
    """A rectangle with its upper left corner at (x, y)."""
    return np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], np.float32)


def star(x: float, y: float, outer: float, inner: float, tips: int = 5) -> np.ndarray:
    """A star about (x, y), one tip pointing up; `outer` and `inner` are the radii of its tips and its notches."""
    angle = np.arange(2 * tips) * np.pi / tips - np.pi / 2
    radius = np.where(np.arange(2 * tips) % 2, inner, outer)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)


def below(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Everything below a line through the points (x, y) from left to right."""
    return np.concatenate([np.stack([x, y], 1), [(x[-1], 110), (x[0], 110)]])
