"""Whether StyleID on the model takes the style and keeps the content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.quality import judge
from jstyle.methods.pairs import Stylised
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from recipes.tiny.drawings import TECHNIQUES
from styleid.run import StyleID
from styleid.settings import StyleIDSettings

GAMMAS = (0.0, 0.3, 0.75, 1.0)
CELLS = (2, 4, 8)
"""Pixels a side over which brightness is averaged before edges are taken: strokes count, count less, hardly count."""
Made = list[list[np.ndarray]]  # [content][style]
_BINS = 16  # a side of the colour cube
_BLUR = 1.5  # bins: a hatched picture's few colours need not fall into a style's very bins


def histogram(picture: np.ndarray) -> np.ndarray:
    """The smoothed colour histogram of (h, w, 3) uint8, (bins^3,)."""
    counts, _ = np.histogramdd(picture.reshape(-1, 3), bins=(_BINS,) * 3, range=[(0, 256)] * 3)
    places = np.arange(_BINS)
    blur = np.exp(-0.5 * ((places[:, None] - places) / _BLUR) ** 2)
    for _ in range(3):  # each time along the first axis, which then becomes the last
        counts = np.tensordot(counts, blur, ([0], [0]))
    return counts.ravel()


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's."""
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def edges(picture: np.ndarray, cell: int) -> np.ndarray:
    """The size of the gradient of (h, w, 3)'s brightness, averaged over cells of so many pixels a side."""
    luma = np.asarray(picture, np.float64) @ (0.299, 0.587, 0.114)
    h, w = luma.shape
    luma = luma.reshape(h // cell, cell, w // cell, cell).mean(axis=(1, 3))
    across, down = np.diff(luma, axis=1)[:-1], np.diff(luma, axis=0)[:, :-1]
    return np.hypot(across, down)


def measure(
    pipe: StableDiffusionPipeline,
    contents: Sequence[Image.Image],
    styles: Sequence[Image.Image],
    techniques: Sequence[str],
    drawn: Made,
    reader: Any,
) -> dict[str, Any]:
    """Every content in every style, at the model's own size, with the defaults, without injection, for each gamma.

    ``drawn`` has the first contents as they would be drawn in the styles' techniques, [content][style]: how much of a
    content's edges a technique leaves.
    """
    base, shown = [np.asarray(one) for one in contents], [np.asarray(one) for one in styles]
    defaults = StyleIDSettings(width=pipe.size, height=pipe.size)
    full = _stylised(pipe, contents, styles, defaults)
    alone = _stylised(pipe, contents, styles, replace(defaults, injection=False))
    structure = {}
    for gamma in GAMMAS:
        made = full if gamma == defaults.gamma else _stylised(pipe, contents, styles, replace(defaults, gamma=gamma))
        structure[str(gamma)] = _kept(made, base, CELLS[0])
    return {
        "histogram gain": _gain(full, base, shown),
        "histogram gain of AdaIN alone": _gain(alone, base, shown),
        "technique read": _read(reader, full, techniques),
        "technique read of AdaIN alone": _read(reader, alone, techniques),
        "edge correlation": {cell: _kept(full, base, cell) for cell in CELLS},
        "edge correlation of drawn contents": {cell: _kept(full[: len(drawn)], base, cell) for cell in CELLS},
        "edge correlation of their drawings": {cell: _kept(drawn, base, cell) for cell in CELLS},
        "edge correlation of styles": {cell: _kept([shown] * len(base), base, cell) for cell in CELLS},
        "structure by gamma": structure,
    }


def _stylised(
    pipe: StableDiffusionPipeline,
    contents: Sequence[Image.Image],
    styles: Sequence[Image.Image],
    settings: StyleIDSettings,
) -> Made:
    found: dict[Any, np.ndarray] = {}
    for event in StyleID(pipe, settings).stylise_pairs(contents, styles):
        if isinstance(event, Stylised):
            assert event.image is not None, event.error
            found[event.content, event.style] = np.asarray(event.image)
    return [[found[i, j] for j in range(len(styles))] for i in range(len(contents))]


def _gain(made: Made, contents: Sequence[np.ndarray], styles: Sequence[np.ndarray]) -> float:
    """How much nearer a result's colours are to its style's than its content's were, a difference of correlations."""
    wanted = [histogram(style) for style in styles]
    before = [[correlation(histogram(content), one) for one in wanted] for content in contents]
    after = [[correlation(histogram(one), wanted[j]) for j, one in enumerate(row)] for row in made]
    return float(np.mean(np.subtract(after, before)))


def _read(reader: Any, made: Made, techniques: Sequence[str]) -> float:
    column = list(judge.WORDS).index("technique")
    found = [judge.read(reader, np.stack(row))[:, column] for row in made]
    return 100 * float(np.mean([[TECHNIQUES[i] == one for i, one in zip(row, techniques)] for row in found]))


def _kept(made: Made, contents: Sequence[np.ndarray], cell: int) -> float:
    """The mean correlation of edges with the content's."""
    found = [correlation(edges(one, cell), edges(content, cell)) for row, content in zip(made, contents) for one in row]
    return float(np.mean(found))
