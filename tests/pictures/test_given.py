"""Pictures as programs bring them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle.errors import InputError
from jstyle.pictures.given import find_latents, open_given
from jstyle.pictures.grids import load_image, make_image_grid
from jstyle.runtime import jt

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
SHARE = PIXELS.astype(np.float32) / 255


def bring(kind: str, folder: Path) -> Any:
    """The pixels as a program may have them."""
    picture = Image.fromarray(PIXELS)
    picture.save(folder / "picture.png")
    first = SHARE.transpose(2, 0, 1)
    return {
        "picture": picture,
        "path": folder / "picture.png",
        "text": str(folder / "picture.png"),
        "bytes": PIXELS,
        "floats": SHARE,
        "signed floats": SHARE * 2 - 1,
        "batch": SHARE[None],
        "Var": jt.array(first),
        "batch of Vars": jt.array(first[None] * 2 - 1),
        "channels first": first,
        "list": [SHARE],
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["picture", "path", "text", "bytes", "floats", "signed floats", "batch", "Var", "batch of Vars", "channels first",
     "list"],
)  # fmt: skip
def test_a_picture_is_the_same_in_every_form(kind: str, tmp_path: Path) -> None:
    opened = open_given(bring(kind, tmp_path))
    assert len(opened) == 1 and np.array_equal(np.asarray(opened[0].convert("RGB")), PIXELS)


def test_masks_and_lists() -> None:
    mask = np.arange(12).reshape(3, 4) > 5
    for given in (mask, mask.astype(np.float32), jt.array(mask[None].astype(np.float32))):
        assert np.array_equal(np.asarray(open_given(given)[0]), mask * 255)
    assert len(open_given([Image.fromarray(PIXELS), PIXELS, np.stack([SHARE, SHARE])])) == 4


def test_latents_are_told_from_pictures() -> None:
    latents = np.zeros((2, 4, 8, 6), np.float32)
    for given in (latents, list(latents), jt.array(latents)):
        found = find_latents(given, 4)
        assert found is not None and found.shape == latents.shape
    others: list[Any] = [SHARE, PIXELS, np.zeros((4, 4, 4), np.float32), np.zeros((1, 3, 8, 8), np.float32), "a.png"]
    assert [find_latents(given, 4) for given in others] == [None] * len(others)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (5, "must be a picture of PIL's, a path, an array, or a list of them, not int"),
        ("missing.png", "cannot read 'missing.png'"),
        (SHARE * 255, "numbers from 0 to .* are no picture"),
        (SHARE - np.nan, "are no picture"),
        (PIXELS.astype(np.int64), "an array of int64 has no known scale"),
        (np.zeros((2, 5, 5)), "has no axis of 1, 3 or 4 channels"),
        (np.zeros((0, 5, 3)), "is no picture"),
        (np.zeros(3), "is no picture"),
        ([PIXELS, None], "not NoneType"),
    ],
)
def test_what_is_no_picture_is_one_line(given: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        open_given(given, "image")
    assert "\n" not in str(caught.value)


def test_grids_of_loaded_pictures(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "picture.png")
    first = load_image(str(tmp_path / "picture.png"))
    cells = [first, load_image(first, convert_method=lambda picture: picture.rotate(180))] * 3
    grid = np.asarray(make_image_grid(cells, rows=2, cols=3))
    turned = PIXELS[::-1, ::-1]
    assert np.array_equal(
        grid, np.vstack([np.hstack(row) for row in ([PIXELS, turned, PIXELS], [turned, PIXELS, turned])])
    )
    assert make_image_grid(cells, 3, 2, resize=4).size == (8, 12)
    for wrong in (lambda: make_image_grid(cells, 2, 2), lambda: load_image("https://example.org/a.png")):
        with pytest.raises(InputError, match="takes 4 pictures, not 6|download it, and name the file"):
            wrong()
