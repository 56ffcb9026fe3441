"""Contents in styles: what becomes of each pair, and its files, one PNG a pair and a contact sheet."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np
from PIL import Image

from jstyle.errors import InputError
from jstyle.pictures import images
from jstyle.pictures.outputs import Finished
from jstyle.weights.tensors import fingerprint

SHEET = "contact_sheet.png"
# Where things lie does not change what a picture is meant to be; the hashes say what it is.
_WITHOUT_MEANING = frozenset({"content", "style", "model"})

Pair = Tuple[int, int]


@dataclass(frozen=True)
class Stylised:
    """One result: which content and which style (indices), and the picture or what went wrong with it."""

    content: int
    style: int
    image: Optional[Image.Image]
    error: str = ""

    @classmethod
    def decoded(cls, content: int, style: int, array: np.ndarray) -> Stylised:
        """A result from the autoencoder's picture (1, 3, height, width)."""
        if np.isfinite(array).all():
            return cls(content, style, images.to_images(array)[0])
        return cls(content, style, None, "the result is not finite (NaN or infinity)")


def all_pairs(contents: int, styles: int) -> List[Pair]:
    """Every (content, style), style by style."""
    return [(content, style) for style in range(styles) for content in range(contents)]


def batches(items: Sequence[int], size: int) -> Iterator[List[int]]:
    """The items in pieces of at most ``size``."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def open_all(paths: Sequence[Path]) -> Tuple[Dict[Path, Image.Image], List[str]]:
    """The pictures of files and folders by path, and one line for each that cannot be read.

    Raises InputError when no picture is left.
    """
    pictures, problems = {}, []
    for path in images.find_images(paths):
        try:
            pictures[path] = images.open_image(path)
        except InputError as error:
            problems.append(str(error))
    if not pictures:
        raise InputError(problems[0] if len(problems) == 1 else f"none of the pictures can be read: {problems[0]}")
    return pictures, problems


class Job:
    """Which pairs there are, where each one's picture goes, and which are finished.

    ``metadata`` (method, settings and model) goes into every PNG, and decides whether a picture that is there is
    the one that would be made; what ``ignored`` names does not. ``digests`` are given for paths whose content is more
    than one file's.
    """

    def __init__(
        self,
        folder: Path,
        contents: Sequence[Path],
        styles: Sequence[Path],
        metadata: Mapping[str, object],
        ignored: Collection[str] = (),
        digests: Optional[Mapping[Path, str]] = None,
    ) -> None:
        self._folder = folder
        self._contents = _names(contents)
        self._styles = _names(styles)
        self._sources = list(contents), list(styles)
        given = dict(digests or {})
        self._digests = {path: given.get(path) or fingerprint([path]) for path in [*contents, *styles]}
        self._metadata = dict(metadata)
        self._ignored = _WITHOUT_MEANING | frozenset(ignored)
        self.pairs: List[Pair] = all_pairs(len(contents), len(styles))

    def path(self, pair: Pair) -> Path:
        """CONTENT_stylized_STYLE.png, by the stems of both."""
        return self._folder / f"{self._contents[pair[0]]}_stylized_{self._styles[pair[1]]}.png"

    def unfinished(self, *, overwrite: bool) -> List[Pair]:
        """The pairs still to be made; the output folder is made too.

        Raises InputError, unless ``overwrite``, when a pair's file is there but is something else.
        """
        finished = Finished(self._folder, overwrite=overwrite, ignored=self._ignored)
        return [pair for pair in self.pairs if not finished.has(self.path(pair), self._described(pair))]

    def save(self, done: Stylised) -> str:
        """Write a result. Returns what went wrong with it, if anything."""
        pair = done.content, done.style
        if done.image is None:
            return f"{self.path(pair)}: {done.error}"
        images.save_png(done.image, self.path(pair), self._described(pair))
        return ""

    def save_contact_sheet(self, contents: Sequence[Image.Image], styles: Sequence[Image.Image]) -> None:
        """Contents down, styles across, with the originals in the first column and row."""
        made: Dict[Pair, Image.Image] = {}
        for pair in self.pairs:
            if self.path(pair).is_file():
                made[pair] = images.open_image(self.path(pair))
        rows = [[None, *styles]]
        rows += [
            [content, *(made.get((row, column)) for column in range(len(styles)))]
            for row, content in enumerate(contents)
        ]
        cell = images.labelled_cell(list(made.values()))
        sheet = images.grid(rows, ["", *self._contents], ["", *self._styles], cell=cell)
        images.save_png(sheet, self._folder / SHEET)

    def _described(self, pair: Pair) -> Dict[str, object]:
        contents, styles = self._sources
        return {
            "content": contents[pair[0]],
            "style": styles[pair[1]],
            "content_hash": self._digests[contents[pair[0]]],
            "style_hash": self._digests[styles[pair[1]]],
            **self._metadata,
        }


def _names(paths: Sequence[Path]) -> List[str]:
    """The stems, with the folder's name, then a number, where two are the same."""
    names: List[str] = []
    for path in paths:
        name, number = path.stem, 2
        if [other.stem for other in paths].count(path.stem) > 1 and path.parent.name:
            name = f"{path.parent.name}_{path.stem}"
        unique = name
        while unique in names:
            unique, number = f"{name}_{number}", number + 1
        names.append(unique)
    return names
