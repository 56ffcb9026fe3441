"""Sheets: many pictures in one, in a grid or a table with labels, or each with a line of text below."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

from PIL import Image, ImageDraw, ImageFont

from jstyle.errors import InputError
from jstyle.files import make_folder
from jstyle.pictures import png_texts

_LABELLED_SIDE = 192  # pixels that a cell has at least: small pictures leave no room for their names
_SHEET_SIDE = 8192  # pixels; a sheet is shrunk to stay inside, so that any viewer opens it
_TABLE_SIDE = 4096  # pixels; a table of hundreds of pictures gets smaller cells to stay inside
_LEAST_CELL = 64  # pixels in which a picture is still told from others
_GAP = 8
_INK = "#333333"

Row = Sequence[Optional[Image.Image]]


def check_sheet(path: Path) -> None:
    """Raise InputError where something else than a sheet of ours stands at ``path``, which a sheet would replace."""
    if path.exists() and not png_texts.is_sheet(path):
        advice = "--overwrite replaces it, another --output keeps both"
        raise InputError(f"{str(path)!r} exists, but jstyle did not make it; {advice}")


def write_sheet(sheet: Image.Image, path: Path, metadata: Optional[Mapping[str, object]] = None) -> None:
    """Write a sheet, which says that it is one, whole or not at all, making its folder.

    Raises InputError where it cannot be written.
    """
    make_folder(path.parent)
    png_texts.save_png(sheet, path, {**(metadata or {}), **png_texts.SHEET_MARK})


def measure_cell(pictures: Sequence[Image.Image], most: int = _SHEET_SIDE) -> tuple[int, int]:
    """The (width, height) of a cell: the largest picture's, or the least multiple of it that has room for a label.

    ``most`` is what its longer side may have.
    """
    width = max((picture.width for picture in pictures), default=1)
    height = max((picture.height for picture in pictures), default=1)
    larger = max(1, min(-(-_LABELLED_SIDE // max(width, height)), most // max(width, height)))
    return width * larger, height * larger


def choose_cell_side(rows: int, columns: int) -> int:
    """The side in pixels that a cell of such a table has at most, before it is shrunk: pictures need be no larger."""
    length, breadth = max(rows, columns) - 1, min(rows, columns)
    pieces = _fold(length, breadth)
    per_side = max(len(pieces) * breadth, len(pieces[0]) + 1)
    return max(_LEAST_CELL, int(_TABLE_SIDE / per_side) - _GAP)


def draw_table(
    rows: Sequence[Row], row_labels: Sequence[str], column_labels: Sequence[str], cell: tuple[int, int]
) -> Image.Image:
    """A grid whose first row and first column are headings.

    One that is long and narrow is drawn in pieces side by side, a wide one in pieces one below the other, each with
    its headings, so that it can be looked at.
    """
    height, width = len(rows) - 1, len(rows[0]) - 1
    along = height >= width
    pieces = []
    for places in _fold(max(height, width), min(height, width) + 1):
        picked = [0, *(place + 1 for place in places)]
        if along:
            pieces.append(
                draw_grid([rows[i] for i in picked], [row_labels[i] for i in picked], column_labels, cell=cell)
            )
        else:
            part = [[row[i] for i in picked] for row in rows]
            pieces.append(draw_grid(part, row_labels, [column_labels[i] for i in picked], cell=cell))
    return join_sheets(pieces, across=along)


def join_sheets(pieces: Sequence[Image.Image], *, across: bool) -> Image.Image:
    """Sheets on white, side by side or one below the other."""
    sizes = [piece.size for piece in pieces]
    width = sum(size[0] for size in sizes) if across else max(size[0] for size in sizes)
    height = max(size[1] for size in sizes) if across else sum(size[1] for size in sizes)
    sheet, x, y = Image.new("RGB", (width, height), "white"), 0, 0
    for piece in pieces:
        sheet.paste(piece, (x, y))
        x, y = (x + piece.width, y) if across else (x, y + piece.height)
    return sheet


def _fold(length: int, breadth: int) -> list[range]:
    """Places 0 to length - 1 in the pieces, of a heading and some places each, whose row is the squarest.

    ``breadth`` is that of a piece. What is at most twice as long as broad stays whole.
    """
    if length + 1 <= 2 * breadth:
        return [range(length)]

    def unevenness(pieces: int) -> float:
        return abs(math.log(pieces * breadth / (math.ceil(length / pieces) + 1)))

    size = math.ceil(length / min(range(1, length + 1), key=unevenness))
    return [range(start, min(start + size, length)) for start in range(0, length, size)]


def draw_grid(
    rows: Sequence[Row],
    row_labels: Optional[Sequence[str]] = None,
    column_labels: Optional[Sequence[str]] = None,
    *,
    cell: Optional[tuple[int, int]] = None,
    gap: int = _GAP,
) -> Image.Image:
    """A sheet on white. Pictures are scaled into their cell with their aspect kept; None is empty.

    Row labels stand upright in a left margin, column labels in a top margin. `cell` is (width, height) in
    pixels and defaults to the largest of the pictures; a very large sheet gets smaller cells.

    Raises:
        InputError: there is no picture.
    """
    columns = max((len(row) for row in rows), default=0)
    width, height = _fit_cells(rows, columns, cell, gap)
    margin = max(16, height // 16)
    left, top = (margin if row_labels else 0) + gap, (margin if column_labels else 0) + gap
    xs = [left + j * (width + gap) for j in range(columns)]
    ys = [top + i * (height + gap) for i in range(len(rows))]
    sheet = Image.new("RGB", (xs[-1] + width + gap, ys[-1] + height + gap), "white")
    for y, row in zip(ys, rows):
        for x, picture in zip(xs, row):
            if picture is not None:
                _paste_inside(sheet, picture, (x, y), (width, height))
    for x, label in zip(xs, column_labels or ()):
        sheet.paste(_draw_label(label, width, margin), (x, gap // 2))
    for y, label in zip(ys, row_labels or ()):
        sheet.paste(_draw_label(label, height, margin).transpose(Image.Transpose.ROTATE_90), (gap // 2, y))
    return sheet


def add_caption(picture: Image.Image, text: str, side: int) -> Image.Image:
    """The picture fitted into a square of ``side`` pixels, and the text, cut to the width, in a strip below."""
    strip = max(14, side // 12)
    cell = Image.new("RGB", (side, side + strip), "white")
    _paste_inside(cell, picture, (0, 0), (side, side))
    font = ImageFont.load_default(strip * 0.75)
    shown = _printable(text)
    while font.getlength(shown) > side:
        shown = shown.rstrip(".")[:-1] + "..." if len(shown) > 4 else ""
    ImageDraw.Draw(cell).text((side / 2, side + strip / 2), shown, _INK, font, anchor="mm")
    return cell


def _paste_inside(sheet: Image.Image, picture: Image.Image, place: tuple[int, int], size: tuple[int, int]) -> None:
    """Into the middle of the rectangle that begins at ``place`` (x, y)."""
    scale = min(size[0] / picture.width, size[1] / picture.height)
    scaled = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    inside = picture.convert("RGB").resize(scaled, Image.Resampling.LANCZOS)
    sheet.paste(inside, (place[0] + (size[0] - inside.width) // 2, place[1] + (size[1] - inside.height) // 2))


def _fit_cells(rows: Sequence[Row], columns: int, cell: Optional[tuple[int, int]], gap: int) -> tuple[int, int]:
    """The size of a cell with which the sheet stays inside `_SHEET_SIDE`."""
    sizes = [picture.size for row in rows for picture in row if picture is not None]
    if not sizes:
        raise InputError("a contact sheet needs at least one picture")
    width, height = cell or (max(size[0] for size in sizes), max(size[1] for size in sizes))
    most = (_SHEET_SIDE - gap) / (1 + 1 / 16)  # the label margin is a sixteenth of a cell
    shrink = min(1.0, (most / columns - gap) / width, (most / len(rows) - gap) / height)
    return max(1, int(width * shrink)), max(1, int(height * shrink))


def _draw_label(text: str, width: int, height: int) -> Image.Image:
    """Centred dark text on white, cut with an ellipsis to the width."""
    font = ImageFont.load_default(height * 0.7)
    text = shown = _printable(text)
    while shown and font.getlength(shown) > width:
        text = text[:-1]
        shown = text + "..." if text else ""
    strip = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(strip).text((width / 2, height / 2), shown, _INK, font, anchor="mm")
    return strip


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
