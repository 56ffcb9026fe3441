"""Ways to draw a scene's layers. Each is a function of the layers and of a source of random numbers for its texture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recipes.tiny.drawings.layers import Layers
from recipes.tiny.drawings.techniques import light, lines, paint, prints, tiles

DRAWN_BY: dict[str, Callable[[Layers, np.random.Generator], np.ndarray]] = {
    "poster": prints.poster,
    "hatching": lines.hatching,
    "watercolour": paint.watercolour,
    "oil": paint.oil,
    "pointillism": paint.pointillism,
    "mosaic": tiles.mosaic,
    "pixel art": tiles.pixel_art,
    "neon": light.neon,
    "sepia": prints.sepia,
    "woodcut": lines.woodcut,
    "chalk": light.chalk,
    "stained glass": tiles.stained_glass,
}
"""Each returns a picture (size, size, 3) of floats from about 0 to about 1."""
