"""The styles in a folder: the competition's layout, a folder of folders, or one folder of pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jstyle.errors import InputError
from jstyle.pictures import images
from jstyle.settings.messages import Where, show, suggest

_RANGE = re.compile(r"([0-9]{1,255})-([0-9]{1,255})")
_NUMBER = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class StylePictures:
    """A style's name, as its folder spells it, and its pictures by name."""

    name: str
    pictures: tuple[Path, ...]


def find_styles(root: Path, *, one_per_picture: bool = False) -> list[StylePictures]:
    """The styles in ``root``: of `<root>/NN/images/*`, of `<root>/NAME/*`, or the one whose pictures lie in it.

    ``one_per_picture`` makes each picture of a folder a style of its own. Raises InputError where there is none.
    """
    folders = {entry.name: entry for entry in _list_entries(root) if entry.is_dir() and not entry.name.startswith(".")}
    pictures = _list_pictures(root)
    competition = {name: folder / "images" for name, folder in folders.items() if (folder / "images").is_dir()}
    by_name = {name: _list_pictures(folder) for name, folder in (competition or folders).items()}
    styles = [StylePictures(name, below) for name, below in by_name.items() if below]
    if pictures and styles:
        raise InputError(f"{str(root)!r} holds pictures and folders of pictures: which are the styles? name one folder")
    if pictures and one_per_picture:
        return _require_unique([StylePictures(picture.stem, (picture,)) for picture in pictures])
    styles = [StylePictures(root.resolve().name, pictures)] if pictures else styles
    if not styles:
        raise InputError(f"{str(root)!r} holds no style: pictures, folders of them, or NN/images/* are needed")
    return styles


def select_styles(styles: Sequence[StylePictures], words: Sequence[str]) -> list[StylePictures]:
    """Those that words name: a name, "03,05", or a range of numbers as in "00-27", of which some may be missing.

    Raises InputError for a name or a range of which there is nothing.
    """
    names = [style.name for style in styles]
    wanted = {name for word in words for name in _resolve_word(word, names)}
    return [style for style in styles if style.name in wanted]


def check_pictures(styles: Sequence[StylePictures]) -> None:
    """Open every picture. Raises InputError for the first that cannot be read."""
    for style in styles:
        for picture in style.pictures:
            images.open_image(picture)


def _resolve_word(word: str, names: Sequence[str]) -> list[str]:
    if word in names:
        return [word]
    if "," in word:
        return [name for part in word.split(",") if part for name in _resolve_word(part, names)]
    ends = _RANGE.fullmatch(word)
    within = []
    if ends:
        within = [name for name in names if _NUMBER.fullmatch(name) and int(ends[1]) <= int(name) <= int(ends[2])]
    if not within:
        raise Where().error(f"there is no style {show(word)} ({suggest(word, names)})")
    return within


def _list_entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot read {str(folder)!r}: {error.strerror}") from error


def _list_pictures(folder: Path) -> tuple[Path, ...]:
    files = [entry for entry in _list_entries(folder) if entry.suffix.lower() in images.SUFFIXES and entry.is_file()]
    return tuple(file for file in files if not file.name.startswith("."))


def _require_unique(styles: list[StylePictures]) -> list[StylePictures]:
    seen: dict[str, Path] = {}
    for style in styles:
        (picture,) = style.pictures
        if style.name in seen:
            raise InputError(f"{seen[style.name].name!r} and {picture.name!r} would both be the style {style.name!r}")
        seen[style.name] = picture
    return styles
