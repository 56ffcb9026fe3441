"""oneDNN for Jittor, from the PyPI wheels instead of Jittor's download.

Jittor wants oneDNN 2.2.0 in ``<home>/.cache/jittor/mkl/<build>/{include,lib}`` and downloads it when it is
not there. PyPI has that very build: `onednn-cpu-gomp` (libraries) and `onednn-devel-cpu-gomp` (headers).
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
from importlib import metadata
from pathlib import Path, PurePath
from typing import Optional

from jstyle.files import name_part, sweep_dead
from jstyle.runtime.cache import replace_link

WHEELS = ("onednn-cpu-gomp", "onednn-devel-cpu-gomp")
WHEEL_MACHINE = ("Linux", "x86_64")
SLOW = f"convolutions are 100 times slower; `pip install {' '.join(WHEELS)}` mends it on x86-64 Linux"

# (system, machine) -> the folder that Jittor 1.3 looks for
BUILDS = {
    ("Linux", "x86_64"): "dnnl_lnx_2.2.0_cpu_gomp",
    ("Linux", "aarch64"): "dnnl_lnx_2.2.0_cpu_gomp_aarch64",
    ("Darwin", "arm64"): "dnnl_mac_2.2.0_cpu_omp_arm64",
    ("Darwin", "x86_64"): "dnnl_mac_2.2.0_cpu_omp_x86_64",
}


def find_onednn(
    home: Path, machine: Optional[tuple[str, str]] = None, plain_jittor: Optional[Path] = None
) -> Optional[Path]:
    """The oneDNN folder that Jittor will use under `home`, linked from the wheels if it was not whole.

    Without the wheels it becomes a link to what the folder of a plain Jittor holds; None without that, too.
    """
    machine = machine or (platform.system(), platform.machine())
    build = BUILDS.get(machine)
    if build is None:
        return None
    folder = home / ".cache" / "jittor" / "mkl" / build
    if is_whole(folder):
        return folder
    files = wheel_files() if machine == WHEEL_MACHINE else {}
    if files:
        link(files, folder)
        return folder
    if plain_jittor is not None and is_whole(plain_jittor / "mkl" / build):
        folder.parent.mkdir(parents=True, exist_ok=True)
        replace_link(folder, plain_jittor / "mkl" / build)
        return folder
    return None


def is_whole(folder: Path) -> bool:
    """Whether Jittor can compile, link and load with `folder`; false where a link points to nothing."""
    libraries = [("libmkldnn.so", "libdnnl.so.2"), ("libmkldnn.dylib",)]
    loadable = any(all((folder / "lib" / name).is_file() for name in names) for names in libraries)
    return loadable and (folder / "include" / "dnnl.hpp").is_file()


def wheel_files(packages: tuple[str, ...] = WHEELS) -> dict[PurePath, Path]:
    """``include/...`` and ``lib/...`` -> the installed file, by the packages' own records; {} if not whole.

    The records are right wherever pip put the files: environment, ``--user`` or ``--target``.
    """
    found: dict[PurePath, Path] = {}
    for package in packages:
        try:
            recorded = metadata.files(package) or []
        except metadata.PackageNotFoundError:
            return {}
        for entry in recorded:
            wanted = place(entry)
            if wanted is not None:
                found[wanted] = Path(os.path.abspath(str(entry.locate())))
    return found if found and all(path.is_file() for path in found.values()) else {}


def place(recorded: PurePath) -> Optional[PurePath]:
    """Where a wheel's file belongs in Jittor's folder; None for what it does not need."""
    if "include" in recorded.parts:
        return PurePath(*recorded.parts[recorded.parts.index("include") :])
    if recorded.name.startswith("lib"):
        return PurePath("lib", recorded.name)
    return None


def link(files: dict[PurePath, Path], folder: Path) -> None:
    """Make `folder` hold links to `files`, replacing what is broken there.

    Two processes may do so at once: one waits for the other, and the folder appears whole or not at all.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / "linking.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_whole(folder):
            return
        # Jittor takes the first folder whose name starts with "dnnl": this one must not
        sweep_dead(folder.parent)
        scratch = name_part(folder)
        scratch.mkdir()
        _fill(scratch, files)
        _remove(folder)
        os.rename(scratch, folder)


def _fill(folder: Path, files: dict[PurePath, Path]) -> None:
    # the wheel holds six copies of one library: all names lead to one file, so that it is loaded once
    library = next(source for place, source in sorted(files.items()) if place.parts[0] == "lib")
    for where, source in files.items():
        target = folder / where
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(library if where.parts[0] == "lib" else source)


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
