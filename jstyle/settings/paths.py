"""What a path among settings is for. A field's type says it; `jstyle.cli.paths` looks before anything is started.

content: tuple[Pictures, ...]
output: ResultsFolder
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional


class Use(Enum):
    """What is done with what lies at a path."""

    PICTURES = "a picture is read, or those of a folder"
    FILE = "a file is read"
    FOLDER = "a folder is read"
    SOMETHING = "a file or a folder is read"
    RESULTS_FOLDER = "a folder is written to, and made where it is missing"
    RESULT = "a file is written"


Pictures = Annotated[Path, Use.PICTURES]
ReadFile = Annotated[Path, Use.FILE]
ReadFolder = Annotated[Path, Use.FOLDER]
ReadPath = Annotated[Path, Use.SOMETHING]
ResultsFolder = Annotated[Path, Use.RESULTS_FOLDER]
ResultFile = Annotated[Path, Use.RESULT]


def list_paths(settings: Any) -> Iterator[tuple[Path, Use]]:
    """Every path that a settings dataclass, or one within, holds, with its use where the field's type says it."""
    hints = typing.get_type_hints(type(settings), include_extras=True)
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            yield from list_paths(value)
        elif (use := _find_use(hints[field.name])) is not None:
            paths = value if isinstance(value, (tuple, list)) else [value]
            yield from ((path, use) for path in paths if path is not None)


def _find_use(hint: Any) -> Optional[Use]:
    if isinstance(hint, Use):
        return hint
    within = [*getattr(hint, "__metadata__", ()), *typing.get_args(hint)]
    return next((use for use in map(_find_use, within) if use is not None), None)
