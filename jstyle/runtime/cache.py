"""The one folder for all that is compiled or measured on a machine: Jittor, its operators, the kernel library.

It is JSTYLE_CACHE, else ``.cache/jstyle`` below JITTOR_HOME, else ``jstyle`` in XDG_CACHE_HOME, else
``~/.cache/jstyle``. A plain Jittor's ``~/.cache/jittor`` is not touched.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Optional

from jstyle.files import locked, name_part
from jstyle.runtime.start_error import StartError

NAMES = Path("/tmp")  # not TMPDIR: the same for every program of this machine
SET_IT = "set JSTYLE_CACHE to a folder that can be written to"


def cache_folder() -> Path:
    """The cache folder, made where it is missing.

    Where the chosen one cannot be written to, the next one that can be is taken, a temporary one last; a line on stderr
    says so, once for this process and those it starts. Raises `StartError` where there is none at all.
    """
    preferred, *others = candidates(os.environ)
    if is_writable(preferred):
        return preferred
    for folder in [*others, temporary_folder()]:
        if folder is not None and is_writable(folder):
            print(
                f"jstyle: Cannot write to {preferred}, so {folder} holds what is compiled: {SET_IT}.", file=sys.stderr
            )
            os.environ["JSTYLE_CACHE"] = str(folder)
            return folder
    raise StartError(f"Cannot write to {preferred}, nor to a temporary folder: {SET_IT}.")


def candidates(environ: Mapping[str, str]) -> list[Path]:
    """Where the cache folder may be, what the user prefers first."""
    places = []
    if environ.get("JSTYLE_CACHE"):
        places.append(Path(environ["JSTYLE_CACHE"]))
    if environ.get("JITTOR_HOME"):
        places.append(Path(environ["JITTOR_HOME"], ".cache", "jstyle"))
    if environ.get("XDG_CACHE_HOME"):
        places.append(Path(environ["XDG_CACHE_HOME"], "jstyle"))
    places.append(Path.home() / ".cache" / "jstyle")
    return [place.absolute() for place in places]


def is_writable(folder: Path) -> bool:
    """Whether files can be made in it, and in Jittor's part of it where there is one; makes the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    places = (folder, folder / "jittor")
    return all(os.access(place, os.R_OK | os.W_OK | os.X_OK) for place in places if place.exists())


def temporary_folder() -> Optional[Path]:
    """The user's own folder among the temporary files; None where somebody else has taken its name."""
    try:
        folder = Path(tempfile.gettempdir(), f"jstyle-{os.getuid()}").absolute()
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return None
    return folder if _belongs_to(folder, {os.getuid()}) else None


def jittor_folder() -> Path:
    """Jittor's part of the cache folder, by a name that stays the same when the home gets another one.

    Jittor compiles anew what it finds compiled under another path, and a library holds the paths of those it needs.
    """
    folder = cache_folder() / "jittor"
    try:
        folder.mkdir(exist_ok=True)
        with locked(folder / "lock"):
            return name_for(folder)
    except OSError as error:
        raise StartError(f"Cannot use {folder} ({error.strerror}): {SET_IT}.") from None


def name_for(folder: Path) -> Path:
    """A path in `NAMES` that leads to ``folder``, chosen once for it; the folder's own where there can be none.

    The folder remembers its name, so it may be mounted or moved elsewhere. A copy of it gets a name of its own.
    """
    for name in (_remembered_name(folder), secrets.token_hex(8)):
        place = NAMES / f"jstyle-{name}"
        link = place / "jittor"
        try:
            place.mkdir(mode=0o755, exist_ok=True)
            if not _belongs_to(place, {os.getuid(), folder.stat().st_uid}):
                return folder
            if link.exists() and not link.samefile(folder):
                continue  # this folder is a copy, and the name is the original's
            if not link.exists():
                replace_link(link, folder)
            keep_from_cleaners(place)
            _remember_name(folder, name)
        except OSError:
            return folder
        return link
    return folder


@lru_cache(maxsize=None)
def keep_from_cleaners(place: Path) -> None:
    """Lock a folder until this process ends: those who clean `NAMES` of what is old leave it alone then."""
    fcntl.flock(os.open(place, os.O_RDONLY), fcntl.LOCK_SH | fcntl.LOCK_NB)


def is_lasting_name(folder: Path) -> bool:
    """Whether a path is one that `name_for` has chosen, which stays the same when the folder is called otherwise."""
    return folder.parent.parent == NAMES and re.fullmatch("jstyle-[0-9a-f]{16}", folder.parent.name) is not None


def _remembered_name(folder: Path) -> str:
    with suppress(OSError):
        name = (folder / "name").read_text(encoding="utf-8")
        if re.fullmatch("[0-9a-f]{16}", name):
            return name
    return secrets.token_hex(8)


def _remember_name(folder: Path, name: str) -> None:
    """Write the name down at once, where it is another than before. Raises: OSError."""
    if _remembered_name(folder) != name:
        part = name_part(folder / "name")
        part.write_text(name, encoding="utf-8")
        os.replace(part, folder / "name")


def _belongs_to(folder: Path, users: set[int]) -> bool:
    """Whether it is a folder of one of these users that others cannot write to."""
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid in users and not status.st_mode & 0o022


def replace_link(link: Path, target: Path) -> None:
    """Make ``link`` lead to ``target`` at once, whatever link was there. Raises: OSError."""
    part = name_part(link)
    part.symlink_to(os.path.realpath(target))
    os.replace(part, link)
