"""A Jittor of this project's own: a copy of the installed one, and its compiled form named by what changes it.

Jittor's own cache is named by the environment's path, the host and the kernel's release, and everything in it is
compiled anew when a path changes. Here every path that the compiler sees lies below `cache.jittor_folder`, so
checkouts, environments and homes under other names share one compiled Jittor.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jstyle.files import locked, replacing, sweep_all
from jstyle.runtime import toolchain
from jstyle.runtime.cache import is_lasting_name, replace_link

PACKAGES = ("jittor", "jittor_utils")
# the variables that Jittor makes compiler flags of, and those that start with JT_
FLAGS = ("cc_flags", "kernel_flags", "nvcc_flags", "nvcc_path", "debug", "cuda_debug", "enable_lto", "use_data_gz")


@dataclass(frozen=True)
class OwnJittor:
    """Where it lies below Jittor's part of the cache folder."""

    folder: Path
    """`cache.jittor_folder`, which stands for the home that Jittor keeps everything in."""
    packages: Path
    """The copy of Jittor's packages."""
    headers: Path
    """A link to Python's headers; where they are not in one folder, there is none and Jittor looks itself."""
    compiler: str
    key: str


def prepare(folder: Path, compiler: str) -> OwnJittor:
    """Copy the installed Jittor into ``folder`` where it is not there yet, and name what ``compiler`` makes of it."""
    packages = copy_packages(find_packages(), folder / "packages")
    compiler = resolve_folder(compiler)
    headers = folder / f"python-{digest(describe_python())}"
    link_headers(headers)
    return OwnJittor(folder, packages, headers, compiler, name_compiled(folder, compiler, packages.name))


def name_compiled(folder: Path, compiler: str, packages: str) -> str:
    """A key of everything that changes what ``compiler`` makes of the Jittor that ``packages`` is a digest of.

    The folder is a part of it only where it has no name that lasts: under another path Jittor compiles all anew.
    """
    processor = [platform.machine(), *toolchain.processor_features()]
    place = [] if is_lasting_name(folder) else [str(folder)]
    described = [packages, describe_python(), describe_compiler(resolve_folder(compiler))]
    return digest(*described, *processor, *chosen_flags(os.environ), *place)


def resolve_folder(compiler: str) -> str:
    """A compiler's path without links on the way to its folder; its own name may choose what it does."""
    return os.path.join(os.path.realpath(os.path.dirname(compiler)), os.path.basename(compiler))


def find_packages() -> dict[str, Path]:
    """The installed Jittor's packages. Raises: `StartError` where one is missing."""
    return {name: find_package(name) for name in PACKAGES}


def find_package(name: str) -> Path:
    """An installed package's folder, found without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise toolchain.StartError(f"Jittor's package {name} is missing: run `{toolchain.INSTALL}`.")
    return Path(spec.origin).parent


def copy_packages(packages: Mapping[str, Path], place: Path) -> Path:
    """The folder below ``place`` that holds a copy of these packages; its name is a digest of their files."""
    copy = place / digest_of_files(packages)
    if not copy.exists():
        place.mkdir(parents=True, exist_ok=True)
        with locked(place / "lock"):
            sweep_all(place)
            if not copy.exists():
                with replacing(copy) as part:
                    for name, package in packages.items():
                        shutil.copytree(package, part / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def digest_of_files(packages: Mapping[str, Path]) -> str:
    """Of all names and contents (6 MB, 30 ms); what is compiled from them must not outlive a change."""
    digest_of_all = hashlib.sha256()
    for name, package in packages.items():
        for folder, folders, files in os.walk(package):
            folders[:] = sorted(set(folders) - {"__pycache__"})
            for file in sorted(files):
                path = Path(folder, file)
                digest_of_all.update(f"{name}/{path.relative_to(package)}\0{path.stat().st_size}\0".encode())
                digest_of_all.update(path.read_bytes())
    return digest_of_all.hexdigest()[:16]


def digest(*parts: str) -> str:
    """16 hexadecimal digits that tell these texts from others."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def describe_python() -> str:
    """The version and everything that its headers were configured with."""
    with contextlib.suppress(OSError):
        return sys.version + Path(sysconfig.get_config_h_filename()).read_text(encoding="utf-8")
    return sys.version


def describe_compiler(compiler: str) -> str:
    """Its path, its version and the C library it compiles for."""
    said = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout
    library = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else None
    return "\0".join([compiler, said, library or ""])


def chosen_flags(environ: Mapping[str, str]) -> list[str]:
    """The user's settings that change what is compiled."""
    return [f"{name}={environ[name]}" for name in sorted(environ) if name in FLAGS or name.startswith("JT_")]


def link_headers(link: Path) -> None:
    """Make ``link`` lead to this Python's headers, unless it leads to equal ones of another environment."""
    headers = Path(sysconfig.get_path("include"))
    if headers == Path(sysconfig.get_path("platinclude")) and (headers / "Python.h").is_file() and not link.exists():
        with contextlib.suppress(OSError):
            replace_link(link, headers)


@contextlib.contextmanager
def imported_from(jittor: OwnJittor) -> Iterator[None]:
    """Inside, ``import jittor`` finds that Jittor, and Jittor its cache; afterwards all is as it was."""
    environ = {
        "HOME": str(jittor.folder),
        "JITTOR_HOME": str(jittor.folder),
        "cc_path": jittor.compiler,
        "cache_name": os.path.join(os.environ.get("cache_name", ""), jittor.key),
    }
    before = {name: os.environ.get(name) for name in environ}
    named = platform.platform, platform.node
    os.environ.update(environ)
    platform.platform, platform.node = (lambda *_, **__: platform.system()), platform.machine  # type: ignore
    sys.path.insert(0, str(jittor.packages))
    try:
        with paths_kept(jittor.folder):
            yield
    finally:
        sys.path.remove(str(jittor.packages))
        platform.platform, platform.node = named
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def paths_kept(folder: Path) -> Iterator[None]:
    """Keep Jittor from resolving paths below ``folder``: the compiler would be shown the home's name of today."""
    realpath: Any = os.path.realpath

    def keep(path: Any, *arguments: Any, **keywords: Any) -> Any:
        below = isinstance(path, str) and Path(os.path.abspath(path)).is_relative_to(folder)
        if below and not os.path.islink(path):  # Jittor follows a compiler that is a link until it is none
            return os.path.abspath(path)
        return realpath(path, *arguments, **keywords)

    os.path.realpath = keep
    try:
        yield
    finally:
        os.path.realpath = realpath


def use_headers(utils: Any, jittor: OwnJittor) -> None:
    """Tell Jittor of Python's headers; it would ask python-config, which knows them by a path of its own."""
    if jittor.headers.exists():
        utils._py3_include_path = f'-I"{jittor.headers}"'
