"""Whether this machine has a CUDA that Jittor can use: looked for before Jittor looks.

Jittor takes any ``nvcc`` for a whole CUDA and dies, or silently runs without cuDNN, where it is not; so the
toolkit's parts are looked for here, in the places where Jittor 1.3 will look (its compile_extern.py).
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from jstyle.runtime.cache import replace_link

SYSTEM = ("/usr/local/cuda", "/usr", "/opt/cuda")
LIBRARIES = ("cublas", "cudnn", "curand", "cufft", "cusparse")
# only cuDNN 8 has these; Jittor loads them by name from CUDA 11 on, and knows no cuDNN 9
CUDNN8_PARTS = ("cudnn_ops_infer", "cudnn_ops_train", "cudnn_cnn_infer", "cudnn_cnn_train")
NEWEST_CUDA = 12
MEND = "install CUDA 12 with cuDNN 8, for instance by `python -m jittor_utils.install_cuda`"


@dataclass(frozen=True)
class Driver:
    """NVIDIA's driver: the newest CUDA it runs, (major, minor), and the number of GPUs it shows."""

    cuda: tuple[int, int]
    devices: int


@dataclass(frozen=True)
class Toolkit:
    """One nvcc and what Jittor would miss beside it."""

    nvcc: Path
    version: Optional[tuple[int, int]]
    missing: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


@dataclass(frozen=True)
class Choice:
    """The environment that keeps Jittor on the right side, and a warning where a GPU lies idle."""

    environ: Mapping[str, str]
    warning: str = ""


def find_driver(library: str = "libcuda.so.1") -> Optional[Driver]:
    """Ask the driver, if there is one; creates no context on any GPU."""
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return None
    version, devices = ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) == 0:
        driver.cuDriverGetVersion(ctypes.byref(version))
        driver.cuDeviceGetCount(ctypes.byref(devices))
    return Driver((version.value // 1000, version.value % 1000 // 10), devices.value)


def jtcuda(home: Path) -> Path:
    """Where Jittor's own CUDA installer puts its toolkits; Jittor prefers them over all others."""
    return home / ".cache" / "jittor" / "jtcuda"


def share_installed(home: Path, plain_jittor: Path) -> None:
    """Let `home` have the toolkits that Jittor's installer put into the folder of a plain Jittor."""
    installed, link = plain_jittor / "jtcuda", jtcuda(home)
    if installed.is_dir() and not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        replace_link(link, installed)


def find_toolkits(home: Path, path: str, system: Sequence[str] = SYSTEM) -> list[Toolkit]:
    """The toolkits on this machine in the order of Jittor's preference."""
    found = sorted(jtcuda(home).glob("*/bin/nvcc"), reverse=True)
    on_path = shutil.which("nvcc", path=path)
    found += [Path(on_path)] if on_path else []
    found += [Path(folder, "bin", "nvcc") for folder in system]
    return [inspect(nvcc) for nvcc in dict.fromkeys(found) if os.access(nvcc, os.X_OK)]


def inspect(nvcc: Path) -> Toolkit:
    """Look for everything that Jittor includes, links and loads."""
    version = nvcc_version(nvcc)
    if version is None:
        return Toolkit(nvcc, None, ("an nvcc that runs",))
    if version[0] > NEWEST_CUDA:
        return Toolkit(nvcc, version, (f"a CUDA toolkit of version {NEWEST_CUDA} or older",))
    arch = "x86_64-linux" if platform.machine() in ("x86_64", "AMD64") else "aarch64-linux"
    binaries = nvcc.resolve().parent
    root = binaries.parent
    distribution = Path("/usr/lib", f"{arch}-gnu")
    libraries = distribution if str(nvcc) == "/usr/bin/nvcc" else root / "lib64"
    headers = [root / "include", root / "targets" / arch / "include", Path("/usr/include")]
    places = [binaries, libraries, root / "targets" / arch / "lib", distribution, Path("/usr/lib")]
    suffixes = (".so", ".so.8") if version[0] == 11 else (".so",)

    missing = [] if (libraries / "libcudart.so").is_file() else [str(libraries / "libcudart.so")]
    for name in LIBRARIES:
        if not any((folder / f"{name}.h").is_file() for folder in headers):
            missing.append(f"{name}.h")
        if not _library_in(places, name, suffixes):
            missing.append(f"lib{name}.so")
    if version[0] >= 11 and not all(_library_in(places, part, suffixes) for part in CUDNN8_PARTS):
        missing.append("cuDNN 8")
    return Toolkit(nvcc, version, tuple(missing))


def _library_in(places: Sequence[Path], name: str, suffixes: Sequence[str]) -> bool:
    return any((folder / f"lib{name}{suffix}").is_file() for folder in places for suffix in suffixes)


def nvcc_version(nvcc: Path) -> Optional[tuple[int, int]]:
    """None where nvcc does not run."""
    try:
        said = subprocess.run([str(nvcc), "--version"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    release = re.search(r"release (\d+)\.(\d+)", said)
    return (int(release[1]), int(release[2])) if release else None


def choose(driver: Optional[Driver], toolkits: Sequence[Toolkit], home: Path) -> Choice:
    """CPU or CUDA. ``nvcc_path=""`` keeps Jittor from CUDA, and from downloading one."""
    cpu = {"nvcc_path": ""}
    if driver is None or driver.devices == 0:
        return Choice(cpu)
    idle = "A GPU is here, but this runs on the CPU, many times slower: "
    if not toolkits:
        return Choice(cpu, f"{idle}no CUDA toolkit (nvcc) was found; {MEND}.")
    whole = [kit for kit in toolkits if kit.whole]
    own = jtcuda(home)
    if own.is_dir():
        # with this folder there, Jittor downloads what it would rather have unless told which one to take
        whole = [kit for kit in whole if own in kit.nvcc.parents]
        if not whole:
            return Choice(cpu, f"{idle}{own} holds no whole toolkit; remove that folder, or {MEND}.")
    if not whole:
        kit = toolkits[0]
        return Choice(cpu, f"{idle}{kit.nvcc} lacks {', '.join(kit.missing)}; {MEND}.")
    chosen = {"nvcc_path": str(whole[0].nvcc)}
    if own.is_dir():
        chosen["JTCUDA_VERSION"] = "{}.{}".format(*whole[0].version or driver.cuda)
    return Choice(chosen)
