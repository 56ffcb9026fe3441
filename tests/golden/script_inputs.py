"""What the training scripts of `record_scripts.py` and of the tests are given: pictures and draws. NumPy alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 128
UPDATES = 6
RANK = 4
RATE = 2e-3
TARGETS = ["to_k", "to_q", "to_v", "to_out.0"]
LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_v"
NORM = 0.05
PROMPT = "style_00"
CAPTIONS = ["a red boat on the sea", "a blue house", "two green trees"]
DRAWN = {"prompt": "a red house by the sea in style_00", "guidance_scale": 5.0, "num_inference_steps": 8}


def draw_pictures() -> list[np.ndarray]:
    """Three pictures of stripes and a disc, (128, 128, 3) uint8."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    pictures = []
    for i in range(3):
        stripes = 0.5 + 0.5 * np.sin((x * (i + 1) + y * (3 - i)) / 9.0)
        disc = (x - 40 - 20 * i) ** 2 + (y - 64) ** 2 < 900
        colour = np.eye(3)[i] * 200 + 30
        picture = np.where(disc[..., None], colour, stripes[..., None] * [220, 180, 90])
        pictures.append(np.uint8(picture))
    return pictures


def write_pictures(folder: Path) -> None:
    """The pictures as a data set's folder has them."""
    folder.mkdir(parents=True)
    for i, picture in enumerate(draw_pictures()):
        Image.fromarray(picture).save(folder / f"{i}.png")


class Draws:
    """What a training draws, in its order: the noise and the times of each update."""

    def __init__(self) -> None:
        self._generator = np.random.default_rng(25)

    def noise(self, shape: tuple[int, ...]) -> np.ndarray:
        """Normal, fp32."""
        return self._generator.standard_normal(shape, np.float32)

    def times(self, count: int) -> np.ndarray:
        """From 0 to 999, (count,)."""
        return self._generator.integers(0, 1000, count)
