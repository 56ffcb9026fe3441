"""Which content and which styles a picture is compared with, by the names of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from jstyle.errors import InputError
from jstyle.pictures.images import measure_image

LEAST_SIDE = 35  # pixels: below, the deepest maps of the networks are empty
BETWEEN = "_stylized_"
"""CONTENT_stylized_STYLE.png is what StyleID's code calls a picture, and `jstyle styleid` too."""


@dataclass(frozen=True)
class Compared:
    """A picture, the content that it shows, and the styles that it is in."""

    picture: Path
    content: Optional[Path]
    styles: tuple[Path, ...]

    @property
    def name(self) -> str:
        """The file's name, by which values are told."""
        return self.picture.name


def match_pictures(pictures: Sequence[Path], contents: Sequence[Path], styles: Sequence[Path]) -> tuple[Compared, ...]:
    """Each picture with the content and style of its own name, or of the names around `_stylized_`.

    Where a picture has no style of its name, every picture is compared with all styles, as a set.
    Raises InputError where contents are given and a picture has none, or one of another size, or names are not unique.
    """
    _index(pictures)
    by_content, by_style = _index(contents), _index(styles)
    own = [_find(picture, by_style, last=True) for picture in pictures]
    each = all(style is not None for style in own)
    compared = []
    for picture, style in zip(pictures, own):
        content = _find(picture, by_content, last=False)
        if contents and content is None:
            wanted = picture.stem.partition(BETWEEN)[0]
            raise InputError(f"{str(picture)!r} has no content: there is no picture {wanted!r} among the contents")
        if content is not None:
            _require_size(picture, content)
        compared.append(Compared(picture, content, (style,) if each and style is not None else tuple(styles)))
    return tuple(compared)


def list_missing(compared: Sequence[Compared], contents: Sequence[Path], styles: Sequence[Path]) -> list[str]:
    """The pairs of contents and styles that have no picture, where pictures are called by pairs."""
    if not contents or not all(BETWEEN in one.picture.stem for one in compared):
        return []
    there = {one.picture.stem for one in compared}
    if all(path.stem in there for path in (*contents, *styles)):
        return []  # copies, one a pair, as the evaluation of StyleID's code wants them
    pairs = [f"{content.stem}{BETWEEN}{style.stem}" for content in contents for style in styles]
    return [pair for pair in pairs if pair not in there]


def _index(files: Sequence[Path]) -> dict[str, Path]:
    by_stem: dict[str, Path] = {}
    for file in files:
        if file.stem in by_stem:
            raise InputError(f"{str(by_stem[file.stem])!r} and {str(file)!r} have one name: pictures are matched by it")
        by_stem[file.stem] = file
    return by_stem


def _find(picture: Path, by_stem: dict[str, Path], *, last: bool) -> Optional[Path]:
    content, _, style = picture.stem.partition(BETWEEN)
    return by_stem.get(picture.stem) or by_stem.get(style if last else content)


def _require_size(picture: Path, content: Path) -> None:
    size, wanted = measure_image(picture), measure_image(content)
    if size != wanted:
        shown = f"{size[0]}x{size[1]}", f"{wanted[0]}x{wanted[1]}"
        raise InputError(
            f"{str(picture)!r} has {shown[0]} pixels and its content {str(content)!r} {shown[1]}: "
            "they are compared pixel by pixel, so give contents cut to the pictures' size"
        )
    if min(size) < LEAST_SIDE:
        raise InputError(f"{str(picture)!r} has {size[0]}x{size[1]} pixels: comparisons need {LEAST_SIDE} a side")
