"""An icon as the parts that the drawings' techniques work on: areas of one colour each, in a drawn setting."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from recipes.tiny.drawings import settings
from recipes.tiny.drawings.layers import FINE, Layers, draw_numbers
from recipes.tiny.drawings.palette import find_colour
from recipes.tiny.icons.scene import IconScene

MOST = 7
"""Areas' colours in one icon, at most."""

_NOTHING = 255
_NEAR = 3  # points to each side; what is narrower is no area, so blended edges between two areas are none
_SPARSE = 5  # one point in so many tells the colours


def find_areas(placed: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """The area of each point of a picture with alpha, (side, side) uint8, 255 where there is nothing.

    Also their colours, (areas, 3) float32 in [0, 1].
    """
    pixels = np.asarray(placed)
    inside = pixels[..., 3] > 127
    shown = np.ascontiguousarray(pixels[inside][:, None, :3])
    few = Image.fromarray(np.ascontiguousarray(shown[::_SPARSE]))
    palette = few.quantize(MOST, Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE)
    reduced = np.asarray(Image.fromarray(shown).quantize(palette=palette, dither=Image.Dither.NONE))[:, 0]
    numbers = np.full(inside.shape, _NOTHING, np.uint8)
    numbers[inside] = reduced
    numbers[inside] = _smooth(numbers, int(reduced.max()) + 1)[inside]
    colours = np.array(palette.getpalette(), np.float32).reshape(-1, 3)[: reduced.max() + 1] / 255
    return numbers, colours


def _smooth(numbers: np.ndarray, count: int) -> np.ndarray:
    """The number that most of the points around each point have: thin rims between areas go."""
    masks = (Image.fromarray((numbers == i).astype(np.uint8) * np.uint8(255)) for i in range(count))
    return np.stack([np.asarray(mask.filter(ImageFilter.BoxBlur(_NEAR))) for mask in masks]).argmax(0)


def lay_out(scene: IconScene, placed: Image.Image) -> Layers:
    """The icon's areas in the scene's setting; ``placed`` is RGBA, FINE points a pixel."""
    rng = scene.rng("ground")
    behind, before = settings.DRAWN_BY[scene.ground](rng)
    light = rng.uniform(0.94, 1.05, 3).astype(np.float32) * np.float32(rng.uniform(0.94, 1.03))
    areas, colours = find_areas(placed)
    first, after = len(behind), len(behind) + len(colours)
    numbers = np.asarray(draw_numbers(behind, placed.width)).copy()
    numbers[areas != _NOTHING] = areas[areas != _NOTHING] + first
    image = draw_numbers(before, placed.width, after, Image.fromarray(numbers, "P"))
    around = [np.minimum(find_colour(part.role, "white") * light, 1) for part in (*behind, *before)]
    is_object = np.zeros(after + len(before), bool)
    is_object[first:after] = True
    return Layers(
        size=placed.width // FINE,
        image=image,
        colours=np.array([*around[:first], *colours, *around[first:]], np.float32),
        is_object=is_object,
        quiet=np.array([*(part.quiet for part in behind), *[False] * len(colours), *(part.quiet for part in before)]),
    )
