"""Maps for ControlNets against their formulas, written out."""

from __future__ import annotations

import sys
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from jstyle.errors import InputError
from jstyle.pictures.control_maps import PREPROCESSORS, make_map
from jstyle.settings.vocabulary import Preprocessor

OF_OPENCV = ("canny", "lineart", "xdog", "shuffle")


def draw_square(side: int = 64, inner: int = 20) -> Image.Image:
    pixels = np.full((side, side + 16, 3), 220, np.uint8)
    pixels[inner : side - inner, inner : side - inner] = (40, 60, 90)
    return Image.fromarray(pixels)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian over (height, width, channels), in float64, mirrored at the borders without its edge."""
    reach = round(sigma * 4)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    out = np.asarray(image, np.float64)
    for axis in (0, 1):
        pad = [(reach, reach) if i == axis else (0, 0) for i in range(3)]
        padded = np.pad(out, pad, mode="reflect")
        out = sum(w * np.take(padded, range(i, i + out.shape[axis]), axis=axis) for i, w in enumerate(weights))
    return out


def test_the_names_are_the_settings() -> None:
    assert set(PREPROCESSORS) == set(get_args(Preprocessor))


@pytest.mark.parametrize("name", PREPROCESSORS)
def test_every_map_is_rgb_of_the_pictures_size(name: str) -> None:
    if name in OF_OPENCV:
        pytest.importorskip("cv2", reason="the extra control")
    shown = make_map(draw_square().convert("RGBA"), name)
    assert (shown.mode, shown.size) == ("RGB", (80, 64))
    assert shown.tobytes() == make_map(draw_square(), name).tobytes()  # nothing is drawn by chance


def test_edges_are_where_the_square_ends() -> None:
    pytest.importorskip("cv2", reason="the extra control")
    edges = np.asarray(make_map(draw_square(), "canny"))
    assert set(np.unique(edges)) == {0, 255} and (edges[..., 0] == edges[..., 2]).all()
    rows, columns = np.nonzero(edges[..., 0])
    distance = np.minimum.reduce([np.abs(a - b) for a in (rows, columns) for b in (19.5, 43.5)])
    assert len(rows) > 80 and distance.max() <= 1
    weak = Image.fromarray(np.asarray(draw_square()) // 16)  # steps of 10: no edge at all
    assert not np.asarray(make_map(weak, "canny")).any()


def test_lines() -> None:
    pytest.importorskip("cv2", reason="the extra control")
    image = np.asarray(draw_square(), np.float64)
    strength = (blur(image, 6.0) - image).min(axis=-1).clip(0, 255)
    expected = strength / max(16.0, np.median(strength[strength > 8])) * 127
    np.testing.assert_allclose(np.asarray(make_map(draw_square(), "lineart"))[..., 0], expected.clip(0, 255), atol=1.5)
    flat = Image.new("RGB", (40, 40), "white")
    assert not np.asarray(make_map(flat, "lineart")).any()


def test_scribbles() -> None:
    pytest.importorskip("cv2", reason="the extra control")
    image = np.asarray(draw_square(), np.float64)
    dark = (blur(image, 5.0) - blur(image, 0.5)).min(axis=-1)
    shown = np.asarray(make_map(draw_square(), "xdog"))[..., 0] > 0
    sure = np.abs(dark - 16) > 1.5
    assert shown.any() and ((dark > 16) == shown)[sure].all()


def test_shuffled_colours_are_the_pictures_own() -> None:
    pytest.importorskip("cv2", reason="the extra control")
    shuffled = np.asarray(make_map(draw_square(), "shuffle"))
    assert not np.array_equal(shuffled, np.asarray(draw_square()))
    assert shuffled[..., 0].min() >= 40 and shuffled.max() <= 220


def test_tile_and_invert() -> None:
    pixels = np.asarray(draw_square())
    np.testing.assert_array_equal(np.asarray(make_map(draw_square(), "tile")), pixels)
    np.testing.assert_array_equal(np.asarray(make_map(draw_square(), "invert")), 255 - pixels)


def test_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="there is no preprocessor 'cany'; did you mean canny"):
        make_map(draw_square(), "cany")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r"pip install 'jstyle\[control\]', or give a ready one"):
        make_map(draw_square(), "canny")
