"""Every object in every technique on one sheet, to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recipes.tiny.drawings.drawing import render
from recipes.tiny.drawings.scene import COLOURS, OBJECTS, SETTINGS, TECHNIQUES, Scene


def draw_sheet(seed: int = 0, size: int = 128, techniques: Sequence[str] = TECHNIQUES) -> np.ndarray:
    """The sheet, (rows * size, columns * size, 3) uint8: techniques down, objects across; colours and settings vary."""
    rows = []
    for technique in techniques:
        i = TECHNIQUES.index(technique)
        scenes = [
            Scene(name, COLOURS[(3 * i + j) % 10], SETTINGS[(3 * i + j) % 8], technique, 100 * seed + 14 * i + j)
            for j, name in enumerate(OBJECTS)
        ]
        rows.append(np.concatenate([render(scene, size) for scene in scenes], axis=1))
    return np.concatenate(rows)
