"""Packages of the npm registry at pinned versions, whose content is checked before anything is read from it."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from jstyle.errors import InputError


@dataclass(frozen=True)
class Package:
    """One version of a package."""

    name: str
    version: str
    sha512: str
    """The archive's hash, in base64 as the registry gives it ("integrity")."""

    @property
    def file(self) -> str:
        """What ``npm pack`` names the archive."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"


def fetch(package: Package, folder: Path) -> Path:
    """The package's archive in this folder, fetched where it is not there.

    Raises InputError where it cannot be had, or is not the one that is pinned; nothing is kept then.
    """
    path = folder / package.file
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".fetched-") as part:
            _pack(package, part)
            check(package, Path(part) / package.file)
            (Path(part) / package.file).replace(path)
    check(package, path)
    return path


def check(package: Package, path: Path) -> None:
    """Raises InputError where the file's content is not the package's."""
    found = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if found != package.sha512:
        raise InputError(f"{path} is not {package.name} {package.version} as it is pinned: remove it and try again")


def read_file(archive: Path, name: str) -> bytes:
    """One file's content. Raises InputError where the archive has none of this name."""
    with tarfile.open(archive) as opened:
        try:
            stream = opened.extractfile(name)
        except KeyError:
            stream = None
        if stream is None:
            raise InputError(f"{archive} holds no file {name}")
        return stream.read()


def read_files(archive: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Those of these files that are in the archive, with their names, in the archive's order."""
    wanted = set(names)
    with tarfile.open(archive) as opened:
        for member in opened:
            stream = opened.extractfile(member) if member.name in wanted else None
            if stream is not None:
                yield member.name, stream.read()


def _pack(package: Package, folder: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise InputError("npm is not installed, which fetches the icons: install Node.js, or put them there by hand")
    command = [npm, "pack", f"{package.name}@{package.version}", "--pack-destination", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(f"npm cannot fetch {package.name} {package.version}: {reason}")
