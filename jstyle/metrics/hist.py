"""The score's Hist: how alike the colours of a picture and of its style's references are.

The organisers count colours in OpenCV's `uint8` arrays, where two products overflow: the colour index
B * 256 + G * 16 + R keeps G * 16 + R alone, so that blue is not seen, and twice OpenCV's hue (0 to 179) falls
back to 0 at 256, so that violets count as reds and greens. "As executed" repeats that; "corrected" is what the program
says it does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

COLOURS = 16 * 16 * 16
SHADES = 8 * 3 * 3  # hues, saturations, values
# The upper ends, included, of the hue classes in degrees; what lies above the last is red again, class 0.
_HUES = np.array([20, 40, 75, 155, 190, 270, 295, 315])
_LEVELS = np.array([51, 178])  # upper ends of the lower two of three classes of saturation and value, of 255
_FIXED_POINT = 12  # bits after the point in OpenCV's 8-bit HSV conversion


@dataclass(frozen=True)
class Histograms:
    """Pixels per colour (4096,) and per shade (72,), float32."""

    colours: np.ndarray
    shades: np.ndarray


def histograms(pixels: np.ndarray, *, corrected: bool = False) -> Histograms:
    """The histograms of an RGB picture, uint8 (height, width, 3)."""
    red, green, blue = (pixels[..., channel].astype(np.int64) // 16 for channel in range(3))
    index = blue * 256 + green * 16 + red
    shades = _shades(pixels, corrected)
    if not corrected:
        index %= 256
        # 72 bins over [0, 71): classes above the last but one would spread, and the last fall out.
        shades = shades[shades < SHADES - 1] * SHADES // (SHADES - 1)
    return Histograms(_count(index, COLOURS), _count(shades, SHADES))


def mean(references: Sequence[Histograms]) -> Histograms:
    """The average of the references' histograms."""
    count = np.float32(len(references))
    colours = np.sum([reference.colours for reference in references], axis=0, dtype=np.float32) / count
    shades = np.sum([reference.shades for reference in references], axis=0, dtype=np.float32) / count
    return Histograms(colours, shades)


def similarity(picture: Histograms, reference: Histograms) -> float:
    """Hist of one picture: the mean correlation of its two histograms with the reference's, -1 to 1."""
    return (correlation(reference.colours, picture.colours) + correlation(reference.shades, picture.shades)) / 2


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's, and 1 where one of them is flat (OpenCV's HISTCMP_CORREL)."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    covariance = float(a @ b - a.sum() * b.sum() / a.size)
    variances = float(a @ a - a.sum() ** 2 / a.size) * float(b @ b - b.sum() ** 2 / b.size)
    return covariance / variances**0.5 if abs(variances) > sys.float_info.epsilon else 1.0


def hsv(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hue (0 to 179, half degrees), saturation and value (0 to 255), bit by bit as OpenCV converts 8-bit RGB.

    OpenCV divides by multiplying with tables of rounded reciprocals (`modules/imgproc/src/color_hsv.simd.hpp`).
    """
    red, green, blue = (pixels[..., channel].astype(np.int32) for channel in range(3))
    value = np.maximum(np.maximum(red, green), blue)
    span = value - np.minimum(np.minimum(red, green), blue)
    half = 1 << (_FIXED_POINT - 1)
    saturation = (span * _reciprocals(255.0)[value] + half) >> _FIXED_POINT
    sextant = np.where(
        value == red, green - blue, np.where(value == green, blue - red + 2 * span, red - green + 4 * span)
    )
    hue = (sextant * _reciprocals(180.0 / 6.0)[span] + half) >> _FIXED_POINT
    return np.where(hue < 0, hue + 180, hue), saturation, value


def _shades(pixels: np.ndarray, corrected: bool) -> np.ndarray:
    """The class of every pixel, 0 to 71."""
    hue, saturation, value = hsv(pixels)
    degrees = np.arange(180) * 2
    classes = np.searchsorted(_HUES, degrees if corrected else degrees % 256) % 8  # by OpenCV's hue
    levels = np.searchsorted(_LEVELS, np.arange(256))
    return classes[hue] * 9 + levels[saturation] * 3 + levels[value]


def _reciprocals(scale: float) -> np.ndarray:
    """scale / i in fixed point for i of 0 to 255, and 0 for 0."""
    table = np.zeros(256, np.int32)
    table[1:] = np.rint(scale * (1 << _FIXED_POINT) / np.arange(1, 256))
    return table


def _count(index: np.ndarray, bins: int) -> np.ndarray:
    return np.bincount(index.ravel(), minlength=bins).astype(np.float32)
