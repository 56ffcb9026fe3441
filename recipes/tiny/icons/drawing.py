"""From a scene with an icon to a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recipes.tiny.drawings.layers import FINE
from recipes.tiny.drawings.techniques import DRAWN_BY
from recipes.tiny.icons.areas import lay_out
from recipes.tiny.icons.cutouts import open_cutout
from recipes.tiny.icons.grounds import draw_ground
from recipes.tiny.icons.placing import choose_place, put
from recipes.tiny.icons.scene import IconScene


def render(scene: IconScene, cutouts: Path, size: int = 128) -> np.ndarray:
    """The picture as (size, size, 3) uint8, always the same for a scene; ``cutouts`` is the folder of the cut-outs.

    Raises ValueError where `size` is not a multiple of 32.
    """
    if size < 32 or size % 32:
        raise ValueError(f"pictures are a multiple of 32 pixels wide, not {size}")
    cutout = open_cutout(cutouts, scene.family, scene.noun)
    place = choose_place(scene, cutout.width / cutout.height)
    if scene.technique:
        layers = lay_out(scene, put(cutout, place, FINE * size))
        picture = DRAWN_BY[scene.technique](layers, scene.rng("technique"))
    else:
        placed = put(cutout, place, size)
        behind, whole, before = draw_ground(scene, placed, place.stands)
        icon = np.asarray(placed, np.float32) / 255
        picture = behind + icon[..., 3:] * (icon[..., :3] - behind)
        picture = picture + before[..., None] * (whole - picture)
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
