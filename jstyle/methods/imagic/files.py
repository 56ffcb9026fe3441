"""The files of Imagic's results: a picture for each eta, and a sheet of all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Optional

from PIL import Image

from jstyle.events import Event
from jstyle.files import fit_name, hash_files
from jstyle.methods.imagic.settings import ImagicInputs, ImagicSubject
from jstyle.methods.pairs import publish
from jstyle.pictures import images
from jstyle.pictures.finished import is_finished, read_state
from jstyle.pictures.sheets import add_caption, check_sheet, choose_cell_side, draw_grid, measure_cell, write_sheet
from jstyle.pictures.spec import PictureSpec


class ImagicFiles:
    """Where each eta's picture is, or is to go: PICTURE_eta0.7.png, and PICTURE_sheet.png.

    ``common`` is what all pictures have in common.
    """

    def __init__(self, inputs: ImagicInputs, common: PictureSpec) -> None:
        self._overwrite = inputs.overwrite
        self._etas = inputs.eta
        image = hash_files([inputs.image])
        self._specs = [
            replace(common, subject=ImagicSubject(inputs.prompt, eta, image, str(inputs.image))) for eta in inputs.eta
        ]
        stem, folder = inputs.image.stem, inputs.output
        self._paths = [folder / fit_name(f"{stem}_eta{eta:g}", ".png") for eta in inputs.eta]
        self._sheet = folder / fit_name(f"{stem}_sheet", ".png")

    def list_unfinished(self) -> list[int]:
        """The places of the etas still to be drawn. Raises InputError, unless all are made again, where a file is
        something else.
        """
        if not self._overwrite:
            check_sheet(self._sheet)
        return [
            place
            for place, (path, spec) in enumerate(zip(self._paths, self._specs))
            if not is_finished(path, spec, overwrite=self._overwrite)
        ]

    def list_finished(self, unfinished: Sequence[int]) -> list[Path]:
        """The pictures that are not among the ``unfinished`` ones."""
        return [path for place, path in enumerate(self._paths) if place not in unfinished]

    def write(self, place: int, picture: Optional[Image.Image]) -> Event:
        """Write the picture of the eta at a place, and say what became of it."""
        return publish(picture, self._paths[place], self._specs[place], overwrite=self._overwrite)

    def write_sheet(self, original: Image.Image) -> None:
        """The picture that is edited, as it was learnt from, and what became of it by eta, each with its caption."""
        columns = math.ceil(math.sqrt(2 * (len(self._paths) + 1)))
        most = choose_cell_side(columns, columns)
        made = [
            images.open_small(path, most) if read_state(path, spec) == "finished" else None
            for path, spec in zip(self._paths, self._specs)
        ]
        side = max(measure_cell([original, *(picture for picture in made if picture is not None)], most))
        captions = ["the picture", *(f"eta {eta:g}" for eta in self._etas)]
        cells = [
            None if picture is None else add_caption(picture, caption, side)
            for picture, caption in zip([original, *made], captions)
        ]
        rows = [cells[first : first + columns] for first in range(0, len(cells), columns)]
        write_sheet(draw_grid(rows), self._sheet)
