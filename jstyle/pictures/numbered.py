"""A folder of pictures that are counted on from run to run, and known by what they are, not by their names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from PIL import Image

from jstyle.errors import InputError
from jstyle.files import fit_name, make_folder
from jstyle.pictures import png_texts
from jstyle.pictures.finished import write_picture
from jstyle.settings.identity import digest
from jstyle.settings.name_patterns import fill_pattern, read_number

_SUFFIX = ".png"


def find_pictures(folder: Path, specs: Sequence[Any]) -> dict[str, Path]:
    """Where pictures of these specs stand, by the specs' digests, whole or damaged."""
    wanted = {digest(spec) for spec in specs}
    found: dict[str, Path] = {}
    for path in sorted(folder.glob(f"*{_SUFFIX}")) if folder.is_dir() else ():
        name = png_texts.read_identity(path)
        if name in wanted:
            found.setdefault(name, path)
    return found


def write_numbered(picture: Image.Image, folder: Path, pattern: str, spec: Any, words: Mapping[str, Any]) -> Path:
    """Write a picture under the next number that the folder has for this pattern. ``words`` are the seed and prompt.

    Other runs may do so at the same time. Raises InputError where it cannot be written.
    """
    with _counting(folder):
        number = 1 + max(_list_numbers(folder, pattern), default=-1)
        path = folder / fit_name(fill_pattern(pattern, number=number, **words), _SUFFIX)
        write_picture(picture, path, spec, overwrite=False)
    return path


def _list_numbers(folder: Path, pattern: str) -> Iterator[int]:
    for path in folder.glob(f"*{_SUFFIX}"):
        number = read_number(pattern, path.stem)
        if number is not None:
            yield number


@contextmanager
def _counting(folder: Path) -> Iterator[None]:
    """The only run that takes a number in a folder, which is made; by the folder's own lock, so nothing is left."""
    import fcntl  # only Linux and macOS have it

    make_folder(folder)
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"cannot read the folder {str(folder)!r}: {error.strerror}; choose another output") from error
    try:
        with suppress(OSError):  # a file system without such locks: names that differ in nothing are rare enough
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
