"""Small competition data and submissions, written to a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 24  # pixels

PROMPTS: Mapping[str, Sequence[str]] = {"00": ("Dolphin", "Ice cream"), "02": ("Tree", "Lion", "Watch")}


def picture(seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """Soft random colours."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def write_style(root: Path, number: str, prompts: Sequence[str], references: int = 2) -> Path:
    """One style's folder."""
    folder = root / number
    (folder / "images").mkdir(parents=True)
    for index in range(references):
        picture(100 * int(number) + index).save(folder / "images" / f"object_{index}.png")
    listed = {str(index): prompt for index, prompt in enumerate(prompts)}
    (folder / "prompt.json").write_text(json.dumps(listed), encoding="utf-8")
    return folder


def write_data(root: Path, prompts: Mapping[str, Sequence[str]] = PROMPTS) -> Path:
    """Competition data."""
    for number, listed in prompts.items():
        write_style(root, number, listed)
    return root


def write_submission(root: Path, prompts: Mapping[str, Sequence[str]] = PROMPTS) -> Path:
    """A submission to it."""
    for number, listed in prompts.items():
        (root / number).mkdir(parents=True)
        for index, prompt in enumerate(listed):
            picture(1000 + 100 * int(number) + index).save(root / number / f"{prompt}.png")
    return root
