"""What Jittor needs besides a processor: a Python it knows, NumPy 1, a C++ compiler, Python's headers."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Optional

from jstyle.runtime.start_error import StartError

OLDEST_PYTHON = (3, 9)
NEWEST_PYTHON = (3, 12)
INSTALL = "pip install jstyle"


def installed_version(package: str) -> Optional[str]:
    """The version of an installed package, found without importing it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def check_python(version: tuple[int, int], system: str = sys.platform) -> None:
    """Raises: `StartError` on a Python that Jittor or its NumPy does not run on."""
    if system.startswith("win"):
        raise StartError("Windows is not supported: use the Windows Subsystem for Linux (WSL 2).")
    if not OLDEST_PYTHON <= version <= NEWEST_PYTHON:
        known = f"{dotted(OLDEST_PYTHON)} to {dotted(NEWEST_PYTHON)}"
        raise StartError(f"Python {dotted(version)} is not supported: use Python {known}.")


def dotted(version: tuple[int, int]) -> str:
    """(3, 9) as people write it: 3.9."""
    return f"{version[0]}.{version[1]}"


def check_packages(jittor: Optional[str], numpy: Optional[str]) -> None:
    """Takes the installed versions. Raises: `StartError` without Jittor, or with a NumPy it cannot use."""
    if jittor is None:
        raise StartError(f"Jittor is not installed: run `{INSTALL}`.")
    if numpy is None:
        raise StartError(f"NumPy is not installed: run `{INSTALL}`.")
    if int(numpy.split(".")[0]) >= 2:
        raise StartError(f"Jittor needs NumPy 1, but {numpy} is installed: run `pip install 'numpy<2'`.")


def find_compiler(environ: Mapping[str, str], system: str = sys.platform) -> str:
    """The C++ compiler Jittor will call: the user's ``cc_path``, else g++ (clang++ on macOS).

    Raises: `StartError` when there is none.
    """
    name = environ.get("cc_path") or ("clang++" if system == "darwin" else "g++")
    path = shutil.which(name, path=environ.get("PATH", ""))
    if path is not None:
        return path
    if environ.get("cc_path"):
        raise StartError(f"The C++ compiler cc_path={name} is not there: correct or unset cc_path.")
    mend = "xcode-select --install" if system == "darwin" else "apt install g++"
    raise StartError(f"No C++ compiler ({name}) was found, and Jittor compiles its kernels: `{mend}`.")


def find_python_config(
    executable: str = sys.executable, system: Sequence[str] = ("/usr", "/usr/local")
) -> Optional[str]:
    """The ``python3.x-config`` to tell Jittor of, or None where it finds one by itself.

    Jittor looks beside the interpreter, which in a virtual environment is the wrong place, and in
    /usr and /usr/local. Raises: `StartError` when Python's headers are not installed.
    """
    name = f"python{dotted(sys.version_info[:2])}-config"
    beside = Path(executable).parent
    known = [beside / name, Path(f"{executable}-config"), *(Path(folder, "bin", name) for folder in system)]
    if any(path.is_file() for path in [*known, beside / "python3-config"]):
        return None
    config = Path(sysconfig.get_config_var("BINDIR") or "", name)
    if config.is_file():
        return str(config)
    package = name.replace("-config", "-dev")
    raise StartError(f"Python's headers are missing, and Jittor compiles with them: `apt install {package}`.")


def processor_features() -> tuple[str, ...]:
    """What the processor can do, as Linux lists it, sorted; nothing elsewhere."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("flags", "Features")):
                return tuple(sorted(line.partition(":")[2].split()))
    return ()


def plain_jittor_folder(environ: Mapping[str, str]) -> Path:
    """Where a plain Jittor keeps what it compiles and has downloaded, which is left alone."""
    home = environ.get("JITTOR_HOME") or _remembered_home() or Path.home()
    return Path(home).absolute() / ".cache" / "jittor"


def _remembered_home() -> Optional[str]:
    """What a Jittor that was started with JITTOR_HOME wrote down for all later ones."""
    try:
        return json.loads((Path.home() / ".cache/jittor/config.json").read_text()).get("JITTOR_HOME")
    except (OSError, ValueError):
        return None
