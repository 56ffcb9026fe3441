"""python -m recipes.tiny.samples --config configs/tiny_icons.yaml --sheet sheet.png: pictures for training, to look at.

It draws the first of them again, with their captions below; icons are cut out first where they are not there yet.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from jstyle.cli.command import SettingsCommand
from jstyle.cli.exit_codes import exit_with
from jstyle.training.draws import make_generator
from recipes.tiny import icons, pictures
from recipes.tiny.settings import TinySettings

_LETTERS = 6  # pixels, about, of one in Pillow's own font
_LINE = 11
_LINES = 3


def draw_sheet(shown: Sequence[np.ndarray], captions: Sequence[str], columns: int = 12) -> Image.Image:
    """Pictures (size, size, 3) uint8 in rows, each above its caption."""
    size = shown[0].shape[0]
    room = _LINES * _LINE + 4
    rows = -(-len(shown) // columns)
    sheet = Image.new("RGB", (columns * (size + 4), rows * (size + room)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (picture, caption) in enumerate(zip(shown, captions)):
        x, y = i % columns * (size + 4), i // columns * (size + room)
        sheet.paste(Image.fromarray(picture), (x, y))
        for line, text in enumerate(textwrap.wrap(caption, size // _LETTERS)[:_LINES]):
            draw.text((x + 2, y + size + 1 + _LINE * line), text, fill="black")
    return sheet


@dataclass(frozen=True)
class SheetInputs:
    """What is looked at."""

    sheet: Path = Path("sheet.png")
    """The picture to write."""

    shown: int = 96
    """How many samples it shows."""

    columns: int = 12
    """Samples in a row."""


def show(settings: TinySettings, inputs: SheetInputs) -> int:
    """Draw the sheet, and save it."""
    if settings.pictures.icons:
        icons.cut_out(settings.output / "packages", settings.output / pictures.CUTOUTS, os.cpu_count() or 1)
    chosen = pictures.scenes(settings.pictures, settings.output)[: inputs.shown]
    rng = make_generator(settings.pictures.seed, 0, "captions")
    captions = [pictures.write_caption(scene, rng) for scene in chosen]
    shown = [pictures.render(scene, settings.output, settings.pictures.size) for scene in chosen]
    draw_sheet(shown, captions, inputs.columns).save(inputs.sheet)
    return 0


COMMAND = SettingsCommand("samples", "Show samples for training with their captions", (TinySettings, SheetInputs), show)

if __name__ == "__main__":
    exit_with(lambda: COMMAND.main(sys.argv[1:], "python -m recipes.tiny.samples"))
