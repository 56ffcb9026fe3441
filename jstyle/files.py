"""Files and folders that appear under their names only when they are whole, files that are locks, and hashes."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import time
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Optional

import jstyle
from jstyle.errors import InputError

SOURCES = ("jstyle", "styleid", "style_align")
"""The packages whose code decides what a result is."""

_PART = re.compile(r"\.([0-9a-f]{8})-([0-9]{1,9})-[0-9a-f]{16}\.part")
_LONGEST_NAME = 255  # bytes
_CONTROLS = ("Cc", "Zl", "Zp")  # what a terminal obeys, or ends a line at
_LONGEST_PAUSE = 86400.0  # seconds; what nothing was added to for a day, nobody writes any more

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to: the file or folder made there becomes ``path`` at the end of the ``with``.

    A file or an empty folder that was at ``path`` is replaced. After an exception nothing is left of the new one.
    Raises InputError in place of an OSError, with one line that names ``path``, and where a device, or the like, is.
    """
    _refuse_device(path)
    part = name_part(path)
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not path.parent.is_dir():
            raise InputError(f"cannot write {str(path)!r}: there is no folder {str(path.parent)!r}") from error
        advice = "free some space or choose another place" if error.errno in _FULL else "choose another place"
        raise InputError(f"cannot write {str(path)!r}: {error.strerror or error}; {advice}") from error
    finally:
        _remove(part)


def name_part(path: Path) -> Path:
    """A name beside ``path`` that nothing has on any machine, of what is to become ``path`` and is not whole.

    It says whose it is, so that it can be swept when this process has died. It is short: not every name can be longer
    than that of ``path``.
    """
    return path.parent / f".{identify_host()}-{os.getpid()}-{secrets.token_hex(8)}.part"


@lru_cache(maxsize=None)
def identify_host() -> str:
    """A digest of where this process's number means something: a machine, or a container of that name."""
    try:
        processes = os.readlink("/proc/self/ns/pid")
    except OSError:  # no Linux
        processes = ""
    return hashlib.sha256(f"{platform.node()} {processes}".encode()).hexdigest()[:8]


def is_alive(host: str, pid: int) -> Optional[bool]:
    """Whether a process of a host, by `identify_host`, is there; None where that cannot be seen from here."""
    if host != identify_host():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """A folder beside ``path`` for the time of the ``with``. Raises: OSError."""
    part = name_part(path)
    part.mkdir()
    try:
        yield part
    finally:
        _remove(part)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8, whole or not at all, and make its folder. Raises InputError where it cannot be written."""
    make_folder(path.parent)
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where they are missing. Raises InputError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {str(folder)!r}: {error.strerror}; choose another output") from error


def fit_name(stem: str, suffix: str) -> str:
    """A file's name, cut where file systems would refuse it, with a digest of the whole so that two stay two."""
    name, most = os.fsencode(stem), _LONGEST_NAME - len(os.fsencode(suffix))
    if len(name) <= most:
        return stem + suffix
    digest = hashlib.sha256(name).hexdigest()[:12]
    return f"{name[: most - 1 - len(digest)].decode('utf-8', 'ignore')}_{digest}{suffix}"


def check_output(folder: Path) -> None:
    """Raise InputError where a folder for results can neither be written to nor be made, such as below a file, or would
    get a name that no terminal can show.
    """
    for place in (folder, *folder.parents):
        try:
            status = place.stat()
        except (FileNotFoundError, NotADirectoryError):
            if place.is_symlink():
                raise InputError(f"{str(place)!r} is a link to nothing; choose another output") from None
            _refuse_controls(place.name)
            continue
        except OSError as error:
            raise InputError(f"cannot write to {str(folder)!r}: {error.strerror}; choose another output") from error
        if not stat.S_ISDIR(status.st_mode):
            raise InputError(f"{str(place)!r} is a file, not a folder for the results; choose another output")
        _try_to_write(place)
        return


def _try_to_write(folder: Path) -> None:
    """Raise InputError unless something can be made in a folder: what the system says of permissions is not all."""
    try:
        with scratch_folder(folder / "output"):
            pass
    except PermissionError:
        raise InputError(f"there is no permission to write to {str(folder)!r}; choose another output") from None
    except OSError as error:
        raise InputError(f"cannot write to {str(folder)!r}: {error.strerror}; choose another output") from error


def check_output_file(file: Path) -> None:
    """Raise InputError where a file cannot be written, or would get a name that no terminal can show."""
    try:
        if stat.S_ISDIR(file.stat().st_mode):
            raise InputError(f"{str(file)!r} is a folder, and the name of a file is needed")
    except (FileNotFoundError, NotADirectoryError):
        _refuse_controls(file.name)
    except OSError as error:
        raise InputError(f"cannot write {str(file)!r}: {error.strerror}; choose another output") from error
    _refuse_device(file)
    check_output(file.parent)


def _refuse_controls(name: str) -> None:
    if any(unicodedata.category(character) in _CONTROLS for character in name):
        raise InputError(f"the name {name!r} has line ends or control characters; choose another output")


def _refuse_device(path: Path) -> None:
    with suppress(OSError):  # of a name that is too long writing tells
        if path.exists() and not path.is_file() and not path.is_dir():
            raise InputError(
                f"{str(path)!r} is neither a file nor a folder, and is not written to; choose another output"
            )


def sweep_dead(folder: Path) -> None:
    """Remove what processes that have died left unfinished in a folder, where others may be writing.

    Of processes that cannot be seen from here it goes when nothing was added to it for a day.
    """
    for path in list(folder.glob(".*.part")):
        match = _PART.fullmatch(path.name)
        with suppress(OSError):  # it has become whole meanwhile
            alive = None if match is None else is_alive(match[1], int(match[2]))
            is_old = path.lstat().st_mtime <= time.time() - _LONGEST_PAUSE
            if match is not None and (is_old if alive is None else not alive):
                _remove(path)


def sweep_all(folder: Path) -> None:
    """Remove everything unfinished below a folder in which nobody else is writing."""
    for path in list(folder.rglob(".*.part")):
        if _PART.fullmatch(path.name):
            _remove(path)


def hash_files(files: Iterable[Path]) -> str:
    """SHA-256 over the content of the files, in the order given, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
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
