"""Sheets: many pictures in one, in a grid with labels, or each with a line of text below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from PIL import Image, ImageDraw, ImageFont

from jstyle.errors import InputError
from jstyle.pictures.images import read_metadata

_LABELLED_SIDE = 192  # pixels that a cell has at least: small pictures leave no room for their names
_SHEET_SIDE = 8192  # pixels; a sheet is shrunk to stay inside, so that any viewer opens it
_INK = "#333333"

Row = Sequence[Optional[Image.Image]]


def check_sheet(path: Path) -> None:
    """Raise InputError where something else than a sheet of ours stands at ``path``, which a sheet would replace.

    Every picture that `save_png` writes says that it is ours, and a finished one what it is, which sheets do not.
    """
    if path.exists():
        about = read_metadata(path)
        if about is None or "spec" in about:
            advice = "--overwrite replaces it, another --output keeps both"
            raise InputError(f"{str(path)!r} exists, but jstyle did not make it; {advice}")


def measure_cell(pictures: Sequence[Image.Image]) -> tuple[int, int]:
    """The (width, height) of a cell: the largest picture's, or the least multiple of it that has room for a label."""
    width = max((picture.width for picture in pictures), default=1)
    height = max((picture.height for picture in pictures), default=1)
    larger = max(1, -(-_LABELLED_SIDE // max(width, height)))
    return width * larger, height * larger


def draw_grid(
    rows: Sequence[Row],
    row_labels: Optional[Sequence[str]] = None,
    column_labels: Optional[Sequence[str]] = None,
    *,
    cell: Optional[tuple[int, int]] = None,
    gap: int = 8,
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
