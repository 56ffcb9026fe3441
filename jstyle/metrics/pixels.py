"""PSNR and SSIM of two pictures of one size."""

from __future__ import annotations

import numpy as np

_WINDOW, _SIGMA = 11, 1.5  # pixels
_STABLE = (0.01**2, 0.03**2)


def measure_psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Decibels, of uint8 arrays of one shape, a level of 255 being the peak; 100 where they are equal."""
    error = float(np.square(a.astype(np.float64) - b.astype(np.float64)).mean())
    return 100.0 if error == 0 else min(100.0, float(10 * np.log10(255.0**2 / error)))


def measure_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """The mean structural similarity of uint8 RGB pictures (height, width, 3), each side 11 pixels or more.

    Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004: a Gaussian window of
    11 pixels and sigma 1.5 around every pixel, in each channel, the picture
    being mirrored beyond its edges as torchmetrics does.
    """
    x, y = a.astype(np.float64) / 255, b.astype(np.float64) / 255
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x, variance_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    light = (2 * mean_x * mean_y + _STABLE[0]) / (mean_x**2 + mean_y**2 + _STABLE[0])
    structure = (2 * covariance + _STABLE[1]) / (variance_x + variance_y + _STABLE[1])
    return float((light * structure).mean())


def _blur(x: np.ndarray) -> np.ndarray:
    """The weighted mean around every pixel of (height, width, 3)."""
    distance = np.arange(_WINDOW) - _WINDOW // 2
    weights = np.exp(-(distance**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    beyond = (_WINDOW // 2, _WINDOW // 2)
    x = np.pad(x, (beyond, beyond, (0, 0)), mode="reflect")
    for axis in (0, 1):
        x = np.lib.stride_tricks.sliding_window_view(x, _WINDOW, axis=axis) @ weights
    return x
