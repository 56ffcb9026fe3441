"""A contact sheet per style: its references, then its pictures in the order of the prompts, renewed as they come."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

from PIL import Image

from jstyle.competition.archive import picture_name
from jstyle.competition.dataset import Dataset, Style
from jstyle.pictures import images
from jstyle.pictures.sheets import add_caption, check_sheet, draw_grid, write_sheet

COLUMNS = 5
CELL = 192  # pixels
PAUSE = 5.0  # seconds between two renewals, at least


class StyleSheets:
    """Draws `<folder>/NN.png` from the pictures under ``root``."""

    def __init__(self, folder: Path, root: Path, dataset: Dataset) -> None:
        self._folder = folder
        self._root = root
        self._styles: Mapping[str, Style] = {style.number: style for style in dataset.styles}
        self._cells: dict[str, Image.Image] = {}
        self._changed: set[str] = set()
        self._drawn = 0.0

    def check(self) -> None:
        """Raise InputError where something else stands in the place of a sheet."""
        for number in self._styles:
            check_sheet(self._place(number))

    def add(self, name: str) -> None:
        """A picture, "NN/<Prompt>.png", is there. Sheets are renewed now and then."""
        number, _, file = name.partition("/")
        self._cells[name] = add_caption(images.open_image(self._root / name), Path(file).stem, CELL)
        self._changed.add(number)
        if time.monotonic() - self._drawn > PAUSE:
            self.draw()

    def draw(self) -> None:
        """Renew the sheets of styles that got a picture since."""
        for number in sorted(self._changed):
            write_sheet(self._draw_sheet(self._styles[number]), self._place(number))
        self._changed.clear()
        self._drawn = time.monotonic()

    def _place(self, number: str) -> Path:
        return self._folder / f"{number}.png"

    def _draw_sheet(self, style: Style) -> Image.Image:
        references = [images.open_image(path) for path in style.references[:COLUMNS]]
        rows: list[list[Optional[Image.Image]]] = [[add_caption(picture, "reference", CELL) for picture in references]]
        cells = [self._cells.get(picture_name(style.number, prompt)) for prompt in style.prompts]
        rows += [list(cells[start : start + COLUMNS]) for start in range(0, len(cells), COLUMNS)]
        return draw_grid([row + [None] * (COLUMNS - len(row)) for row in rows])
