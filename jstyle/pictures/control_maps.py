"""Maps for ControlNets that are made of a picture without a network: edges, lines, the picture itself, other colours.

What the nets of lllyasviel's collection were taught with (github.com/lllyasviel/ControlNet-v1-1-nightly, annotator/);
OpenCV computes what it has, and comes with the extra ``control``. Depth and poses need networks: such maps are taken
ready.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from jstyle.errors import InputError
from jstyle.pictures.images import require_rgb
from jstyle.settings.messages import suggest

Pixels = np.ndarray
"""(height, width, 3) or (height, width), uint8."""

CANNY = (100, 200)
"""Gradients below the first are no edge, those above the second are one; in between those that go on with one."""

_LINES_SIGMA, _LINES_FLOOR, _LINES_DARK = 6.0, 8.0, 16.0
_XDOG_SIGMAS, _XDOG_THRESHOLD = (0.5, 5.0), 32
_SHUFFLE_GRAIN = 256  # pixels between the points that the shuffling noise is drawn at


def make_map(picture: Image.Image, name: str) -> Image.Image:
    """The map of a picture, RGB and of its size, as the preprocessor of that name makes it.

    Raises InputError for a name that is not known, and where OpenCV is needed and not installed.
    """
    if name not in PREPROCESSORS:
        raise InputError(f"there is no preprocessor {name!r:.60}; {suggest(name, PREPROCESSORS)}")
    pixels = PREPROCESSORS[name](np.asarray(require_rgb(picture)))
    return Image.fromarray(np.repeat(pixels[..., None], 3, axis=-1) if pixels.ndim == 2 else pixels)


def scale_maps(maps: np.ndarray) -> np.ndarray:
    """Maps (n, 1 or 3, height, width) of 8 bits as nets take them, (n, 3, height, width) in [0, 1], float32."""
    return np.repeat(maps, 3 // maps.shape[1], axis=1).astype(np.float32) / 255


def find_edges(pixels: Pixels) -> Pixels:
    """Canny's edges (IEEE PAMI 8(6), 1986): white lines, one pixel wide, (height, width)."""
    return _load_opencv().Canny(np.ascontiguousarray(pixels), *CANNY)


def draw_lines(pixels: Pixels) -> Pixels:
    """What is darker than its surroundings, as white lines that are as strong as they are dark, (height, width)."""
    image = pixels.astype(np.float32)
    around = _load_opencv().GaussianBlur(image, (0, 0), _LINES_SIGMA)
    strength = np.clip((around - image).min(axis=-1), 0, 255)
    strong = strength[strength > _LINES_FLOOR]
    usual = max(_LINES_DARK, float(np.median(strong))) if strong.size else _LINES_DARK
    return np.clip(strength * (127 / usual), 0, 255).astype(np.uint8)


def scribble(pixels: Pixels) -> Pixels:
    """A difference of Gaussians, cut at a threshold (XDoG, Computers & Graphics 36(6), 2012): (height, width)."""
    opencv, image = _load_opencv(), pixels.astype(np.float32)
    fine, coarse = (opencv.GaussianBlur(image, (0, 0), sigma) for sigma in _XDOG_SIGMAS)
    dark = 255 - np.clip(255 - (coarse - fine).min(axis=-1), 0, 255).astype(np.uint8)
    return np.where(2 * dark.astype(np.int64) > _XDOG_THRESHOLD, 255, 0).astype(np.uint8)


def shuffle(pixels: Pixels) -> Pixels:
    """The picture's colours without its shapes: pushed along smooth noise, the same for all pictures of a size."""
    opencv = _load_opencv()
    height, width = pixels.shape[:2]
    rng, grain = np.random.default_rng(0), _SHUFFLE_GRAIN
    noise = rng.random((height // grain + 2, width // grain + 2, 2), np.float32)
    noise = opencv.resize(noise, (width + 2 * grain, height + 2 * grain), interpolation=opencv.INTER_CUBIC)
    noise = noise[grain : grain + height, grain : grain + width]
    low, high = noise.min(axis=(0, 1)), noise.max(axis=(0, 1))
    places = (noise - low) / np.maximum(high - low, 1e-6) * np.array([width - 1, height - 1], np.float32)
    return opencv.remap(pixels, places.astype(np.float32), None, opencv.INTER_LINEAR)


def keep(pixels: Pixels) -> Pixels:
    """The picture itself, which nets of tiles are shown."""
    return pixels


def invert(pixels: Pixels) -> Pixels:
    """White lines of black ones."""
    return 255 - pixels


PREPROCESSORS: Mapping[str, Callable[[Pixels], Pixels]] = {
    "canny": find_edges,
    "lineart": draw_lines,
    "xdog": scribble,
    "shuffle": shuffle,
    "tile": keep,
    "invert": invert,
}


def _load_opencv() -> Any:
    try:
        return importlib.import_module("cv2")
    except ImportError:
        raise InputError("OpenCV makes this map: pip install 'jstyle[control]', or give a ready one") from None
