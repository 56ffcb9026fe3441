"""Cut-outs that no package is needed for: the upper half is red, the lower left quarter green, the lower right blue."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image, ImageDraw

from recipes.tiny.icons import STYLES

NOUNS = ("ant", "red-apple", "hourglass-done", "scissors", "glass-of-milk", "unicorn")
RED, GREEN, BLUE = (220, 20, 30), (20, 180, 40), (30, 40, 210)


def draw_cutout(width: int = 120, height: int = 200) -> Image.Image:
    image = Image.new("RGBA", (width, height), (*RED, 255))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height // 2, width // 2 - 1, height), fill=(*GREEN, 255))
    draw.rectangle((width // 2, height // 2, width, height), fill=(*BLUE, 255))
    return image


def write_cutouts(folder: Path) -> Path:
    for style in STYLES:
        (folder / style).mkdir(parents=True)
        for i, noun in enumerate(NOUNS):
            draw_cutout(120 + 20 * i, 200).save(folder / style / f"{noun}.png")
    (folder / "catalogue.json").write_text(json.dumps({noun: STYLES for noun in NOUNS}))
    return folder
