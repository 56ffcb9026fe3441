"""Files and folders that appear under their names only when they are whole, files that are locks, and hashes."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import jstyle
from jstyle.errors import InputError

SOURCES = ("jstyle", "styleid", "style_align")
"""The packages whose code decides what a result is."""

_PART = re.compile(r"\.[0-9a-f]{16}\.part")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to: the file or folder made there becomes ``path`` at the end of the ``with``.

    A file or an empty folder that was at ``path`` is replaced. After an exception nothing is left of the new one.
    Raises InputError in place of an OSError, with one line that names ``path``.
    """
    part = name_part(path)
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        reason = f"{error.strerror or error}; free some space or choose another place"
        raise InputError(f"cannot write {str(path)!r}: {reason}") from error
    finally:
        _remove(part)


def name_part(path: Path) -> Path:
    """A name beside ``path`` that nothing has, by which `sweep` knows what is to become ``path`` and is not whole."""
    return path.parent / f".{secrets.token_hex(8)}.part"  # short, because not every name can be longer than path's


def write_text(path: Path, text: str) -> None:
    """Write UTF-8, whole or not at all, and make its folder. Raises InputError where it cannot be written."""
    with replacing(path) as part:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")


def check_output(folder: Path) -> None:
    """Raise InputError where a folder for results can neither be written to nor be made, such as below a file."""
    for place in (folder, *folder.parents):
        try:
            status = place.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise InputError(f"cannot write to {str(folder)!r}: {error.strerror}; choose another output") from error
        if not stat.S_ISDIR(status.st_mode):
            raise InputError(f"{str(place)!r} is a file, not a folder for the results; choose another output")
        if not os.access(place, os.W_OK | os.X_OK):
            raise InputError(f"there is no permission to write to {str(place)!r}; choose another output")
        return


def sweep(folder: Path, *, untouched_for: float = 0.0) -> None:
    """Remove what killed processes left unfinished below a folder.

    Where others may be writing, ``untouched_for`` says for how many seconds nothing must have been added to what goes.
    """
    newest = time.time() - untouched_for
    for path in list(folder.rglob(".*.part")):
        with suppress(OSError):  # it has become whole meanwhile
            if _PART.fullmatch(path.name) and path.lstat().st_mtime <= newest:
                _remove(path)


def hash_files(files: Iterable[Path]) -> str:
    """SHA-256 over the content of the files, in the order given, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as stream:
            for block in iter(lambda: stream.read(1 << 24), b""):
                digest.update(block)
    return digest.hexdigest()


@lru_cache(maxsize=None)
def read_code_version() -> str:
    """The project's version and a digest of its sources, such as "0.1.0+1f2e3d4c5b6a"."""
    digest = hashlib.sha256()
    for package in SOURCES:
        spec = find_spec(package)
        assert spec is not None and spec.submodule_search_locations is not None, f"{package} is no package"
        root = Path(spec.submodule_search_locations[0])
        for file in sorted(path for path in root.rglob("*") if path.suffix in (".py", ".cpp", ".h", ".cc")):
            digest.update(f"{package}/{file.relative_to(root).as_posix()}\0".encode())
            digest.update(file.read_bytes())
    return f"{jstyle.__version__}+{digest.hexdigest()[:12]}"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that a file stands for, which is made where it is missing; meanwhile other processes wait here.

    The system releases it when this process dies. Only this process holds it: what it forks meanwhile, such as Jittor's
    compilers, which may outlive it, does not.
    """
    import fcntl  # only Linux and macOS have it

    with open(path, "a") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(lock, fcntl.LOCK_UN)


def _remove(part: Path) -> None:
    """Remove a file or folder, if it is there: after a success it is not."""
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        with suppress(OSError):
            part.unlink()
