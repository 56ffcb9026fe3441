"""Files and folders that appear under their name only when they are whole, and files that are locks."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterable, Iterator

from jstyle.errors import InputError

_PART = re.compile(r"\.[0-9a-f]{16}\.part")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name in the same folder to write to: the file or folder made there becomes ``path`` when the block ends.

    A file that was there is replaced, an empty folder too. After an exception nothing is left.
    Raises InputError in the place of an OSError, one line that names ``path``.
    """
    part = path.parent / f".{secrets.token_hex(8)}.part"  # short, so that it fits where the name fits
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        reason = f"{error.strerror or error}; free some space or choose another place"
        raise InputError(f"cannot write {str(path)!r}: {reason}") from error
    finally:
        _remove(part)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8, whole or not at all, making the folder. Raises InputError where it cannot be written."""
    with replacing(path) as part:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")


def sweep(folder: Path) -> None:
    """Remove what killed processes were writing below a folder. For its owner, while nobody else writes there."""
    for path in list(folder.rglob(".*.part")):
        if _PART.fullmatch(path.name):
            _remove(path)


def hash_files(files: Iterable[Path]) -> str:
    """SHA-256 over the content of the files in the order given, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as stream:
            for block in iter(lambda: stream.read(1 << 24), b""):
                digest.update(block)
    return digest.hexdigest()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that a file stands for, made where it is missing; another process waits here.

    The system lets go of it when this process dies. It is the process's own: what it forks meanwhile, such as Jittor's
    compilers, which may outlive it, does not hold it.
    """
    import fcntl  # Linux and macOS alone have it

    with open(path, "a") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(lock, fcntl.LOCK_UN)


def _remove(part: Path) -> None:
    """It is gone after a success, and may never have come to be."""
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        with suppress(OSError):
            part.unlink()
