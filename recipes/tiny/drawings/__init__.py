"""Pictures that the project draws itself, with captions, from which the embedded model learns.

NumPy and Pillow alone: `python -m recipes.tiny.drawings` needs no Jittor.
"""

from recipes.tiny.drawings.captions import PLACES, WORKS, caption
from recipes.tiny.drawings.drawing import draw_mask, render
from recipes.tiny.drawings.scene import (
    COLOURS,
    MONOCHROME,
    OBJECTS,
    SETTINGS,
    TECHNIQUES,
    Layout,
    Scene,
    is_held_out,
    sample_scene,
)
from recipes.tiny.drawings.sheet import draw_sheet

__all__ = [
    "OBJECTS",
    "COLOURS",
    "SETTINGS",
    "TECHNIQUES",
    "MONOCHROME",
    "PLACES",
    "WORKS",
    "Layout",
    "Scene",
    "caption",
    "draw_sheet",
    "is_held_out",
    "draw_mask",
    "render",
    "sample_scene",
]
