"""Pictures that the project draws itself, with captions: what the embedded model learns from.

NumPy and Pillow alone: `python -m recipes.tiny.drawings` needs no Jittor.
"""

from recipes.tiny.drawings.captions import PLACES, WORKS, caption
from recipes.tiny.drawings.drawing import object_mask, render
from recipes.tiny.drawings.scene import (
    COLOURS,
    MONOCHROME,
    OBJECTS,
    SETTINGS,
    TECHNIQUES,
    Layout,
    Scene,
    held_out,
    sample_scene,
)
from recipes.tiny.drawings.sheet import contact_sheet

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
    "contact_sheet",
    "held_out",
    "object_mask",
    "render",
    "sample_scene",
]
