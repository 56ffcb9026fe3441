"""The styles in a folder: the competition's layout, a folder of folders, or one folder of pictures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

from jstyle.errors import InputError
from jstyle.pictures import images

_RANGE = re.compile(r"(\d+)-(\d+)")


@dataclass(frozen=True)
class StylePictures:
    """A style's name, as its folder spells it, and its pictures by name."""

    name: str
    pictures: Tuple[Path, ...]


def find(root: Path, *, one_a_picture: bool = False) -> List[StylePictures]:
    """The styles in ``root``: of `<root>/NN/images/*`, of `<root>/NAME/*`, or the one whose pictures lie in it.

    ``one_a_picture`` makes each picture of a folder a style of its own. Raises InputError where there is none.
    """
    folders = {entry.name: entry for entry in _entries(root) if entry.is_dir() and not entry.name.startswith(".")}
    own = _pictures(root)
    competition = {name: folder / "images" for name, folder in folders.items() if (folder / "images").is_dir()}
    below = competition or folders
    found = [StylePictures(name, pictures) for name, folder in below.items() if (pictures := _pictures(folder))]
    if own and found:
        raise InputError(f"{str(root)!r} holds pictures and folders of pictures: which are the styles? name one folder")
    if own and one_a_picture:
        return _unique([StylePictures(picture.stem, (picture,)) for picture in own])
    found = [StylePictures(root.resolve().name, own)] if own else found
    if not found:
        raise InputError(f"{str(root)!r} holds no style: pictures, folders of them, or NN/images/* are needed")
    return found


def chosen(styles: Sequence[StylePictures], words: Sequence[str]) -> List[StylePictures]:
    """Those that words name: a name, "03,05", or a range of numbers as in "00-27", of which some may be missing.

    Raises InputError for a name or a range of which there is nothing.
    """
    names = [style.name for style in styles]
    wanted = {name for word in words for name in _named(word, names)}
    return [style for style in styles if style.name in wanted]


def check_pictures(styles: Sequence[StylePictures]) -> None:
    """Open every picture. Raises InputError for the first that cannot be read."""
    for style in styles:
        for picture in style.pictures:
            images.open_image(picture)


def _named(word: str, names: Sequence[str]) -> List[str]:
    if word in names:
        return [word]
    if "," in word:
        return [name for part in word.split(",") if part for name in _named(part, names)]
    ends = _RANGE.fullmatch(word)
    within = []
    if ends:
        within = [name for name in names if name.isdigit() and int(ends[1]) <= int(name) <= int(ends[2])]
    if not within:
        shown = ", ".join(names[:30]) + (", ..." if len(names) > 30 else "")
        raise InputError(f"there is no style {word!r} (there are: {shown})")
    return within


def _entries(folder: Path) -> List[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot read {str(folder)!r}: {error.strerror}") from error


def _pictures(folder: Path) -> Tuple[Path, ...]:
    found = [entry for entry in _entries(folder) if entry.suffix.lower() in images.SUFFIXES and entry.is_file()]
    return tuple(picture for picture in found if not picture.name.startswith("."))


def _unique(styles: List[StylePictures]) -> List[StylePictures]:
    seen: Dict[str, Path] = {}
    for style in styles:
        (picture,) = style.pictures
        if style.name in seen:
            raise InputError(f"{seen[style.name].name!r} and {picture.name!r} would both be the style {style.name!r}")
        seen[style.name] = picture
    return styles
