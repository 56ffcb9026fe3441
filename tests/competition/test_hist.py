"""Hist against OpenCV's own uint8 arithmetic, recorded by tests/golden/record_hist.py."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from jstyle.metrics import hist
from jstyle.pictures import images
from tests.parity.networks import golden

RECORDED = golden("hist")
PICTURES = [RECORDED[f"picture{number}"] for number in range(8)]
# The real styles that are recorded; their pictures are not part of the project.
DATA = Path(os.environ.get("JSTYLE_COMPETITION_DATA", Path(__file__).parents[3] / "shared/data/competition_b"))
STYLES = sorted(name[-2:] for name in RECORDED if name.startswith("style_"))


def scores(pictures: list[np.ndarray], *, corrected: bool = False) -> np.ndarray:
    all_histograms = [hist.histograms(picture, corrected=corrected) for picture in pictures]
    return np.array([[hist.similarity(one, other) for other in all_histograms] for one in all_histograms])


def test_hue_saturation_and_value_of_every_colour_are_opencvs() -> None:
    digest, levels = hashlib.sha256(), np.arange(256, dtype=np.uint8)
    for red in range(256):
        green, blue = np.meshgrid(levels, levels, indexing="ij")
        pixels = np.stack([np.full_like(green, red), green, blue], axis=-1)
        digest.update(np.stack(hist.hsv(pixels), axis=-1).astype(np.uint8).tobytes())
    assert digest.hexdigest() == str(RECORDED["hsv_digest"])


def test_hue_saturation_and_value_of_some_colours() -> None:  # says which, where the test above only says that
    assert np.array_equal(np.stack(hist.hsv(RECORDED["hsv_rgb"]), axis=-1), RECORDED["hsv"])


@pytest.mark.parametrize("number", range(8))
def test_histograms_as_executed(number: int) -> None:
    made = hist.histograms(PICTURES[number])
    assert np.array_equal(made.colours, RECORDED[f"colours{number}"])
    assert np.array_equal(made.shades, RECORDED[f"shades{number}"])


def test_scores_as_executed() -> None:
    assert np.abs(scores(PICTURES) - RECORDED["scores"]).max() < 1e-6


def test_several_references_are_averaged() -> None:
    all_histograms = [hist.histograms(picture) for picture in PICTURES]
    score = hist.similarity(all_histograms[0], hist.mean(all_histograms[1:]))
    assert abs(score - float(RECORDED["several"])) < 1e-6


@pytest.mark.parametrize("style", STYLES)
def test_real_pictures_as_executed(style: str) -> None:
    folder = DATA / style / "images"
    if not folder.is_dir():
        pytest.skip("the competition's pictures are not here (JSTYLE_COMPETITION_DATA names their folder)")
    pictures = [np.asarray(images.open_image(file)) for file in sorted(folder.iterdir())]
    assert np.abs(scores(pictures) - RECORDED[f"style_{style}"]).max() < 1e-6


def flat(colour: tuple) -> np.ndarray:
    return np.full((8, 8, 3), colour, np.uint8)


def test_blue_is_seen_only_where_corrected() -> None:
    a, b = flat((30, 60, 10)), flat((30, 60, 250))
    executed = [hist.histograms(one).colours for one in (a, b)]
    assert np.array_equal(executed[0], executed[1])
    assert np.flatnonzero(executed[0]).tolist() == [60 // 16 * 16 + 30 // 16]
    corrected = [hist.histograms(one, corrected=True).colours for one in (a, b)]
    assert [np.flatnonzero(one).tolist() for one in corrected] == [[3 * 16 + 1], [15 * 256 + 3 * 16 + 1]]


@pytest.mark.parametrize(
    ("colour", "executed", "corrected"),
    [
        ((255, 0, 0), 0, 0),
        ((0, 255, 0), 3, 3),  # 120 degrees
        ((0, 0, 255), 5, 5),  # 240
        ((85, 0, 255), 0, 5),  # 260, which wraps to 4
        ((170, 0, 255), 1, 6),  # 280 and 24
        ((255, 0, 255), 2, 7),  # 300 and 44
        ((255, 0, 140), 2, 0),  # 326 and 70: red's other end
    ],
)
def test_twice_the_hue_wraps_only_as_executed(colour: tuple, executed: int, corrected: int) -> None:
    def hue_class(fixed: bool) -> int:
        return int(np.flatnonzero(hist.histograms(flat(colour), corrected=fixed).shades)[0]) // 9

    assert (hue_class(False), hue_class(True)) == (executed, corrected)


def test_the_last_shade_has_its_bin_only_where_corrected() -> None:
    violet = flat((255, 0, 230))  # class 7 of the hues, bright and saturated: 71
    assert np.flatnonzero(hist.histograms(violet, corrected=True).shades).tolist() == [71]
    assert hist.histograms(violet).shades.sum() == 64


@pytest.mark.parametrize("corrected", [False, True])
def test_a_picture_is_like_itself(corrected: bool) -> None:
    assert np.allclose(np.diag(scores(PICTURES, corrected=corrected)), 1.0)
