"""The kernel library: C++ that is compiled once for this processor and kept in the cache folder."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jstyle.files import locked, scratch_folder, sweep_all
from jstyle.runtime.cache import SET_IT, cache_folder
from jstyle.runtime.start_error import StartError
from jstyle.runtime.toolchain import find_compiler, processor_features

SOURCES = Path(__file__).parent / "csrc"
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-fPIC", "-fno-math-errno", "-Wall", "-Werror=return-type")
SANITIZED = ("-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
NEEDED = "avx2"


class BuildError(Exception):
    """The library cannot be had on this machine; the message says why in one line."""


def library() -> Path:
    """The compiled library, built first where this source, compiler and processor have none yet.

    Raises BuildError on a processor it is not written for, where there is no compiler or it fails, and where nothing
    can be written.
    """
    check_platform()
    try:
        compiler = find_compiler(os.environ)
    except StartError as error:
        raise BuildError(str(error)) from error
    folder = cache_folder() / key(compiler)
    file = folder / "libjstyle_kernels.so"
    if not file.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder / "lock"):
                sweep_all(folder)
                if not file.exists():
                    compile_library(compiler, file)
        except OSError as error:
            raise BuildError(f"cannot write to {folder} ({error.strerror}); {SET_IT}") from error
    return file


def check_platform() -> None:
    """Raise BuildError where the kernels were never tried."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise BuildError(f"the kernels are for Linux on x86-64, this is {sys.platform} on {platform.machine()}")
    if NEEDED not in processor_features():
        raise BuildError(f"the kernels need a processor with {NEEDED.upper()}")


def key(compiler: str) -> str:
    """A name for what this source, compiler and processor give: one disk may serve several machines."""
    digest = hashlib.sha256()
    for file in sorted(SOURCES.iterdir()):
        digest.update(file.name.encode() + file.read_bytes())
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout
    digest.update(" ".join([*flags(), version, *processor_features()]).encode())
    return digest.hexdigest()[:16]


def flags() -> tuple[str, ...]:
    """What the library is compiled with: JSTYLE_SANITIZE=1 has every access checked (`benchmarks/sanitized.py`)."""
    return (*FLAGS, *SANITIZED) if os.environ.get("JSTYLE_SANITIZE") else FLAGS


def compile_library(compiler: str, file: Path) -> None:
    """Compile every source, side by side, and rename the whole library into place."""
    print("jstyle: Compiling the kernels for this processor: once, some seconds.", file=sys.stderr, flush=True)
    sources = sorted(SOURCES.glob("*.cpp"))
    with scratch_folder(file) as folder:
        objects = [folder / f"{source.stem}.o" for source in sources]
        commands = [[compiler, *flags(), "-c", str(a), "-o", str(b)] for a, b in zip(sources, objects)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(run, commands))
        linked = folder / file.name
        run([compiler, *flags(), "-shared", *map(str, objects), "-o", str(linked)])
        os.replace(linked, file)


def run(command: list[str]) -> None:
    """Run a compiler. Raises BuildError with its first error line."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()[-1:]
        raise BuildError(f"{Path(command[0]).name} could not compile the kernels: {' '.join(lines[:1])}")
