"""What a path among settings is for. A field's type says it; `jstyle.cli.paths` looks before anything is started.

content: tuple[Pictures, ...]
output: ResultsFolder
"""

from __future__ import annotations

import dataclasses
import os
import typing
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Optional

from jstyle.settings.messages import find_close


class Use(Enum):
    """What is done with what lies at a path."""

    PICTURES = "a picture is read, or those of a folder"
    PICTURE = "a picture is read"
    FILE = "a file is read"
    FOLDER = "a folder is read"
    SOMETHING = "a file or a folder is read"
    RESULTS_FOLDER = "a folder is written to, and made where it is missing"
    RESULT = "a file is written"
    RESULTS = "pictures are written: to a folder, or one to the file that ends in .png"
    SOURCE = "a text names a file, a folder or a hub id that is read"


Pictures = Annotated[Path, Use.PICTURES]
Picture = Annotated[Path, Use.PICTURE]
ReadFile = Annotated[Path, Use.FILE]
ReadFolder = Annotated[Path, Use.FOLDER]
ReadPath = Annotated[Path, Use.SOMETHING]
ResultsFolder = Annotated[Path, Use.RESULTS_FOLDER]
ResultFile = Annotated[Path, Use.RESULT]
Results = Annotated[Path, Use.RESULTS]
Source = Annotated[str, Use.SOURCE]

_PICTURE = ".png"
_LONGEST_NAME, _LONGEST = 255, 4000  # bytes of a name, and of a path, that systems take
_MOST_ENTRIES = 10_000  # of a folder in which a name like a missing one is looked for
_OTHER_FILES = (
    ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".jxl", ".safetensors", ".ckpt", ".pt",
    ".bin", ".zip", ".json", ".yaml", ".yml",
)  # fmt: skip


def names_picture(output: Path) -> bool:
    """Whether an output is the file of one picture, and not a folder."""
    return output.suffix.lower() == _PICTURE and not _is_folder(output)


def names_something(text: str) -> bool:
    """Whether a text is the path of something, or is meant to be a picture's."""
    with suppress(OSError, ValueError):
        return bool(text) and (looks_like_file(Path(text)) or Path(text).exists())
    return False


def read_path(text: str) -> Path:
    """The path that a text is, ~ being the home folder: a shell leaves it alone in --output=~/x, and YAML always does.

    Raises ValueError where no file can be called so.
    """
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in text.split("/")) or len(os.fsencode(text)) > _LONGEST:
        raise ValueError(f"must be a path that a file can have, not a text of {len(text)} characters")
    path = os.path.expanduser(text)
    if path.startswith("~"):
        raise ValueError(f"must be a path, and {text!r} names no user: write ./{text} for a file of that name")
    return Path(path)


def require_paths(**texts: Optional[str]) -> None:
    """Raise ValueError for the first of the named texts that is no path, as `read_path` does; None is left alone."""
    for name, text in texts.items():
        try:
            read_path(text or "")
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None


def guess_path(path: Path) -> str:
    """The path that was meant, as a question: one with a slip in one of its parts; nothing where there is none."""
    missing = next((place for place in reversed((path, *path.parents)) if not place.exists()), path)
    with suppress(OSError):
        meant = find_close(missing.name, [entry.name for entry in islice(missing.parent.iterdir(), _MOST_ENTRIES)])
        whole = missing.with_name(meant) / path.relative_to(missing) if meant else path
        return f"did you mean {whole}?" if meant and whole.exists() else ""
    return ""


def choose_folder(output: Path) -> Path:
    """The folder that results go to: the output, or that of its one file."""
    return output.parent if names_picture(output) else output


def describe_output(output: Path) -> str:
    """Where the results of a run are, in a line."""
    return f"the picture is {output}" if names_picture(output) else f"pictures are in {output}"


def looks_like_file(output: Path) -> bool:
    """Whether an output is named like a file, and there is no folder of that name."""
    return output.suffix.lower() in {_PICTURE, *_OTHER_FILES} and not _is_folder(output)


def _is_folder(path: Path) -> bool:
    """Whether a folder is there; of what cannot be, such as too long a name, the answer is no."""
    try:
        return path.is_dir()
    except OSError:
        return False


def list_paths(settings: Any) -> Iterator[tuple[Path, Use]]:
    """Every path that a settings dataclass, or one within, holds, with its use where the field's type says it."""
    hints = typing.get_type_hints(type(settings), include_extras=True)
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            yield from list_paths(value)
        elif (use := find_use(hints[field.name])) not in (None, Use.SOURCE):
            paths = value if isinstance(value, (tuple, list)) else [value]
            yield from ((path, use) for path in paths if path is not None)


def find_use(hint: Any) -> Optional[Use]:
    """What is done with what a field of this type, its marks included, names; None where it is no path."""
    if isinstance(hint, Use):
        return hint
    within = [*getattr(hint, "__metadata__", ()), *typing.get_args(hint)]
    return next((use for use in map(find_use, within) if use is not None), None)
