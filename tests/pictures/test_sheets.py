"""Sheets of pictures: where each stands, what labels and captions take, what is too much."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from jstyle.errors import InputError
from jstyle.pictures.sheets import add_caption, draw_grid

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
