"""Local blend: the edit where the words look, the source everywhere else (arXiv 2208.01626, section 3.2, "local")."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jstyle.errors import InputError
from jstyle.networks.editing import Site
from jstyle.runtime import jt


class WordMaps:
    """Where the source and some edits have looked at the blend words, added up over steps.

    ``marks`` (1 + edits, tokens) is 1 for the blend words' tokens in the source's text, and in each edit's. ``paths``
    are the cross-attentions that are read.
    """

    def __init__(self, marks: np.ndarray, paths: frozenset[str]) -> None:
        self.marks = marks
        self.paths = paths
        self._sums: list[jt.Var] = []

    def add(self, looked: tuple[jt.Var, jt.Var]) -> None:
        """Add what a layer says of the source (1, queries) and of the edits (edits, queries)."""
        added = jt.concat(list(looked), dim=0)
        self._sums.append(added if self.is_empty else self._sums.pop() + added)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was added yet."""
        return not self._sums

    def draw_masks(self, shape: Sequence[int], level: int, threshold: float) -> np.ndarray:
        """Where each edit may differ from the source: (edits, 1, height, width) for latents of that height and width.

        A place counts where it, or one beside it, has more than ``threshold`` of the highest attention of its map.
        """
        height, width = (-(-side // 2**level) for side in shape)
        maps = pool(self._sums[0].numpy().reshape(-1, height, width))
        highest = maps.max(axis=(1, 2), keepdims=True)
        seen = maps > threshold * highest
        rows = np.arange(shape[0]) * height // shape[0]
        columns = np.arange(shape[1]) * width // shape[1]
        masks = (seen[:1] | seen[1:])[:, rows[:, None], columns[None, :]]
        return masks[:, None].astype(np.float32)


def pool(maps: np.ndarray) -> np.ndarray:
    """The highest of every place (maps, height, width) and the eight around it."""
    height, width = maps.shape[1:]
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    around = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return np.max(around, axis=0)


def find_map_sites(sites: Sequence[Site], level: int) -> frozenset[str]:
    """The cross-attentions outside the middle block whose maps were halved so often.

    Raises InputError where the network has none.
    """
    outside = [site for site in sites if site.is_cross and not site.path.startswith("mid_block.")]
    paths = frozenset(site.path for site in outside if site.level == level)
    if not paths:
        there = sorted({site.level for site in outside})
        raise InputError(f"blend_level {level}: this model has maps of words at the levels {there} alone")
    return paths
