"""Sheets of pictures: where each stands, what labels and captions take, what is too much."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jstyle.errors import InputError
from jstyle.pictures import images, png_texts
from jstyle.pictures.sheets import (
    add_caption,
    check_sheet,
    choose_cell_side,
    draw_grid,
    draw_table,
    measure_cell,
    write_sheet,
)

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def test_a_grid_places_every_picture() -> None:
    red, blue, tall = (Image.new("RGB", (40, 20), c) for c in (RED, BLUE, GREEN))
    tall = tall.resize((10, 40))
    sheet = draw_grid([[None, red], [blue, tall]], cell=(40, 20), gap=4)
    assert sheet.size == (4 + 2 * 44, 4 + 2 * 24)
    assert sheet.getpixel((24, 14)) == WHITE and sheet.getpixel((68, 14)) == RED
    assert sheet.getpixel((24, 38)) == BLUE and sheet.getpixel((68, 38)) == GREEN
    greens = (np.asarray(sheet)[28:48, 48:88] == GREEN).all(-1)
    assert greens.any(0).sum() == 5 and greens.any(1).sum() == 20, "its aspect is kept"


def test_a_grid_takes_any_sizes_and_labels() -> None:
    mixed = [[Image.new("L", (1, 2000), 9), Image.new("RGB", (300, 200), RED)], [None]]
    bare = draw_grid(mixed)
    assert bare.size == (8 + 2 * 308, 8 + 2 * 2008)
    assert draw_grid(mixed, cell=(64, 64)).size == (8 + 2 * 72, 8 + 2 * 72), "one is under a pixel wide there"
    labels = ["a rather long name that cannot fit into the width of its cell", "new\nline 房子"]
    labelled = draw_grid(mixed, row_labels=labels, column_labels=labels)
    assert labelled.size == (bare.width + 125, bare.height + 125)
    assert np.array_equal(np.asarray(labelled)[125:, 125:], np.asarray(bare))
    assert (np.asarray(labelled)[:125] < 99).any() and (np.asarray(labelled)[:, :125] < 99).any()


def test_a_huge_grid_is_shrunk_and_an_empty_one_refused() -> None:
    sheet = draw_grid([[Image.new("RGB", (512, 512), RED)] * 40] * 3, ["a"] * 3, ["b"] * 40)
    assert 7000 < sheet.width <= 8192 and sheet.height <= 8192
    for rows in ([], [[]], [[None]]):
        with pytest.raises(InputError, match="at least one picture"):
            draw_grid(rows)


def test_a_caption_stands_below_and_leaves_the_picture_whole() -> None:
    for text in (
        "Dolphin",
        "a name that is far too long for a cell of this size, whatever the font may be",
        "new\nline",
    ):
        cell = add_caption(Image.new("RGB", (20, 40), RED), text, 48)
        assert cell.size == (48, 48 + 14)
        pixels = np.asarray(cell)
        assert (pixels[:48, 12:36] == RED).all() and (pixels[:48, :12] == WHITE).all()
        assert (pixels[48:] < 99).any() and (pixels[48:, 0] == WHITE).all()


@pytest.mark.parametrize(("rows", "columns"), [(30, 1), (1, 40), (20, 40), (100, 1), (2, 3), (1, 1)])
def test_a_table_of_any_length_can_be_looked_at(rows: int, columns: int) -> None:
    side = choose_cell_side(rows + 1, columns + 1)
    colours = [[(x, y, 255) for x in range(columns + 1)] for y in range(rows + 1)]
    pictures = [[Image.new("RGB", (8, 8), (x % 200, y % 200, z)) for x, y, z in row] for row in colours]
    pictures[0][0] = None
    cell = measure_cell([picture for picture in pictures[1][1:] if picture is not None], side)
    names = [str(i) for i in range(max(rows, columns) + 1)]
    sheet = draw_table(pictures, names[: rows + 1], names[: columns + 1], cell)
    assert max(sheet.size) < 5000 and min(cell) >= 64
    assert max(rows, columns) < 3 or 0.4 < sheet.width / sheet.height < 2.5
    is_shown = np.zeros((256, 256, 256), bool)
    is_shown[tuple(np.asarray(sheet).reshape(-1, 3).T)] = True
    assert all(is_shown[picture.getpixel((0, 0))] for row in pictures for picture in row if picture is not None)


def test_a_sheet_says_that_it_is_one_and_is_no_picture_to_work_on(tmp_path: Path) -> None:
    picture = Image.new("RGB", (9, 9), RED)
    png_texts.save_png(picture, tmp_path / "a.png", {"picture": "made by us, and a picture"})
    picture.save(tmp_path / "b.png")
    write_sheet(picture, tmp_path / "contact_sheet.png", {"step": 3})
    told: list[str] = []
    assert images.find_images([tmp_path], told.append) == [tmp_path / "a.png", tmp_path / "b.png"]
    assert told == [f"contact sheets are passed over: {str(tmp_path / 'contact_sheet.png')!r}"]
    named = [tmp_path / "contact_sheet.png", tmp_path / "b.png"]
    assert images.find_images(named, told.append) == [tmp_path / "b.png"] and len(told) == 2
    with pytest.raises(InputError, match="contact sheets of jstyle; name the pictures themselves"):
        images.find_images([tmp_path / "contact_sheet.png"])
    check_sheet(tmp_path / "contact_sheet.png")
    for other in ("a.png", "b.png"):
        with pytest.raises(InputError, match="jstyle did not make it"):
            check_sheet(tmp_path / other)
