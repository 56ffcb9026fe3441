"""What a visitor has brought and made: a folder each, under a name that nobody can guess."""

from __future__ import annotations

import re
import secrets
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

from jstyle.errors import InputError
from jstyle.files import hash_files, make_folder, replacing
from jstyle.pictures.formats import SUFFIXES
from jstyle.pictures.images import measure_image

_TOKEN = re.compile("[0-9a-f]{32}")
_UNSAFE = re.compile(r"[^\w-]+")
_LONGEST_STEM = 60
_SHOWN = 120
"""Pictures in a gallery; older ones stay in the visitor's folder."""


class Visitor:
    """One visitor's folder: pictures that were brought in ``given``, and a folder a request in ``made``."""

    def __init__(self, root: Path, token: str) -> None:
        self.token = token
        self._folder = root / token

    def admit(self, upload: Path) -> Path:
        """Keep a picture that was brought, by its content. Raises InputError for what is no picture."""
        name = _UNSAFE.sub("_", upload.stem).strip("_")[:_LONGEST_STEM] or "picture"
        suffix = upload.suffix.lower()
        try:
            measure_image(upload)
            ending = suffix if suffix in SUFFIXES else ".png"
            kept = self._folder / "given" / hash_files([upload])[:16] / f"{name}{ending}"
            if not kept.exists():
                make_folder(kept.parent)
                with replacing(kept) as partial:
                    shutil.copyfile(upload, partial)
        except InputError as error:
            raise InputError(str(error).replace(repr(str(upload)), repr(upload.name))) from None
        except OSError as error:
            raise InputError(f"{upload.name!r:.80} cannot be kept: {error.strerror}") from error
        return kept

    def new_folder(self, work: str) -> Path:
        """A folder for the results of a request."""
        made = self._folder / "made"
        make_folder(made)
        number = 1 + max((int(path.name[:4]) for path in made.iterdir() if path.name[:4].isdigit()), default=0)
        folder = made / f"{number:04d}-{work}"
        make_folder(folder)
        return folder

    def shorten(self, line: str) -> str:
        """A line without the folders of the server."""
        for folder in (f"{self._folder / 'made'}/", f"{self._folder}/", f"{self._folder.parent / 'uploads'}/"):
            line = line.replace(folder, "")
        return line

    def list_pictures(self) -> list[Path]:
        """The pictures that were made, the last ones first."""
        return list(self._iterate_pictures())[:_SHOWN]

    def _iterate_pictures(self) -> Iterator[Path]:
        folders = sorted((self._folder / "made").glob("[0-9]*"), reverse=True)
        for folder in folders:
            yield from sorted(folder.rglob("*.png"), key=lambda path: path.stat().st_mtime_ns, reverse=True)


class Visitors:
    """Everybody who has been here, below the folder `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        make_folder(self.root)
        self._lock = threading.Lock()

    def find(self, token: Any) -> Optional[Visitor]:
        """The visitor of a token that was given out here, or None."""
        if isinstance(token, str) and _TOKEN.fullmatch(token) and (self.root / token).is_dir():
            return Visitor(self.root, token)
        return None

    def welcome(self, token: Any = None) -> Visitor:
        """The visitor of a token, or a new one."""
        known = self.find(token)
        if known is not None:
            return known
        fresh = secrets.token_hex(16)
        with self._lock:
            make_folder(self.root / fresh)
        return Visitor(self.root, fresh)
