"""One run at a time in a folder: a lock that ends with its process, and says whose it is."""

from __future__ import annotations

import errno
import os
import platform
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from jstyle.errors import InputError
from jstyle.files import check_output, identify_host, is_alive, make_folder, sweep_all

LOCK = ".running"
"""The file that stands in a folder while a run works there."""

_OWNER = re.compile(r"process ([0-9]{1,9}) on ([^\n]*)\n([0-9a-f]{8})\n")
_TAKEN = {errno.EACCES, errno.EAGAIN}
_held: set[Path] = set()  # by this process, to which the system gives the same lock twice
_guard = threading.Lock()


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Work in a folder, made where it is missing, as the only run; what killed ones left unfinished in it is removed.

    The system lets the lock go when this process dies. Where a file system has no locks, the owner's name in the file
    counts. Afterwards nothing of it is left, nor of a folder in which nothing was made. Raises InputError where another
    run works there, which it names, and where nothing can be written.
    """
    check_output(folder)
    place = folder.resolve()
    with _guard:
        if place in _held:
            raise _refuse(folder, f"process {os.getpid()}, this one,")
        _held.add(place)
    made: list[Path] = []
    try:
        made = _make(folder)
        with _locked(folder):
            sweep_all(folder)
            yield
    finally:
        _held.discard(place)
        for empty in made:
            with suppress(OSError):
                empty.rmdir()


def _make(folder: Path) -> list[Path]:
    """Make a folder and those above it. Returns those that were missing, the innermost first."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    make_folder(folder)
    return missing


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    path = folder / LOCK
    file = _open(folder)
    _take(file, folder)
    while not _is_at(file, path):  # who had it has removed the file meanwhile
        file.close()
        file = _open(folder)
        _take(file, folder)
    try:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}\n{identify_host()}\n")
        file.flush()
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _open(folder: Path) -> IO[str]:
    try:
        return open(folder / LOCK, "a+", encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"cannot write to {str(folder)!r}: {error.strerror}; choose another output") from error


def _take(file: IO[str], folder: Path) -> None:
    """Lock the file. Raises InputError where another process has it."""
    import fcntl  # only Linux and macOS have it

    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = _OWNER.fullmatch(file.read(1000))
        file_system_locks = error.errno in _TAKEN
        if file_system_locks or (owner and is_alive(owner[3], int(owner[1])) is not False):
            file.close()
            told = _refuse(folder, f"process {owner[1]} on {owner[2]}" if owner else "another process")
            advice = "" if file_system_locks else f"; if it does not, remove {str(folder / LOCK)!r}"
            raise InputError(f"{told}{advice}") from None


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _refuse(folder: Path, owner: str) -> InputError:
    return InputError(f"{owner} works in {str(folder)!r}: wait until it has ended, or choose another output")
