"""Which output pictures are finished: found there, whole, and made with the very settings asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Collection, Mapping

from jstyle.errors import InputError
from jstyle.pictures import images


class Finished:
    """Decides whether a picture still has to be made, so that a re-run goes on and overwrites nothing unasked.

    The folder is made where it is missing. ``ignored`` names settings that do not change what the picture is
    meant to be. Raises InputError when the folder cannot be made.
    """

    def __init__(self, folder: Path, *, overwrite: bool, ignored: Collection[str] = ()) -> None:
        self._overwrite = overwrite
        self._ignored = frozenset(ignored)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {str(folder)!r}: {error.strerror}") from error

    def has(self, path: Path, metadata: Mapping[str, object]) -> bool:
        """Whether the picture at ``path`` is the one that ``metadata`` describes.

        Raises InputError, unless overwriting was asked for, when something else is there.
        """
        if self._overwrite or not path.exists():
            return False
        there = images.read_metadata(path)
        if there is None:
            raise InputError(f"{str(path)!r} is there and not a finished picture of ours; --overwrite replaces it")
        meant = json.loads(json.dumps(dict(metadata), default=str))
        for name, value in meant.items():
            if name not in self._ignored and there.get(name) != value:
                raise InputError(
                    f"{str(path)!r} was made with {name} = {there.get(name)!r}, not {value!r}; "
                    "--overwrite makes it again, another --output keeps both"
                )
        return True
