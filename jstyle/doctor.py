"""What this machine has for Jittor, and what it lacks: ``jstyle doctor``.

Looks first, and starts Jittor last: where the start fails, everything found until then has been printed.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jstyle
from jstyle.runtime import cache, cuda, onednn, toolchain
from jstyle.runtime.start_error import StartError
from jstyle.weights.backends import library

PACKAGES = (
    "jittor", "numpy", "pillow", "transformers", "tokenizers", "safetensors", "huggingface_hub",
    "pydantic", "PyYAML", "ml_dtypes", "tqdm",
)  # fmt: skip
VECTOR_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile")
GIGABYTE = 1e9
DISK_NEEDED = 2 * GIGABYTE


@dataclass(frozen=True)
class Finding:
    """One line of the report. `problem` is essential: it says what is wrong and how to mend it."""

    label: str
    text: str = ""
    problem: str = ""


def report(out: Callable[[str], None] = print) -> int:
    """Print everything found. Returns 1 when something essential is missing, else 0."""
    problems = []
    for finding in findings():
        out(f"{finding.label + ':':<17}{finding.problem or finding.text}")
        problems += [finding.problem] if finding.problem else []
    out("")
    out("Something essential is missing:" if problems else "All that is essential is here.")
    for problem in dict.fromkeys(problems):
        out(f"  {problem}")
    return 1 if problems else 0


def findings() -> Iterator[Finding]:
    """Every line of the report, each looked for when it is asked for."""
    yield Finding("jstyle", jstyle.__version__)
    yield Finding("system", platform.platform())
    yield essential("python", python)
    yield essential("packages", packages)
    yield essential("compiler", lambda: toolchain.find_compiler(os.environ))
    yield essential("python headers", lambda: toolchain.find_python_config() or "found")
    yield Finding("processor", processor())
    yield Finding("memory", memory())
    try:
        folder, home = cache.cache_folder(), cache.jittor_folder()
    except StartError as error:
        yield Finding("cache folder", problem=str(error))
        return
    yield cache_folder(folder)
    yield Finding("Jittor's cache", f"{folder / 'jittor'}, to Jittor {home}")
    plain_jittor = toolchain.plain_jittor_folder(os.environ)
    yield Finding("oneDNN", str(onednn.find_onednn(home, plain_jittor=plain_jittor) or f"not found: {onednn.SLOW}"))
    cuda.share_installed(home, plain_jittor)
    yield from cuda_findings(home)
    yield Finding("JDiffusion", library.described())
    yield essential("Jittor", compute)
    yield Finding("kernels", kernels())


def essential(label: str, look: Callable[[], str]) -> Finding:
    """A look whose `StartError` is a problem of this machine."""
    try:
        return Finding(label, look())
    except StartError as error:
        return Finding(label, problem=str(error))


def python() -> str:
    """The Python that runs. Raises: `StartError` for one that Jittor does not run on."""
    toolchain.check_python(sys.version_info[:2])
    return f"{platform.python_version()} at {sys.executable}"


def packages() -> str:
    """The installed packages with their versions. Raises: `StartError` where one is missing, or NumPy is too new."""
    versions = {name: toolchain.installed_version(name) for name in PACKAGES}
    toolchain.check_packages(versions["jittor"], versions["numpy"])
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        raise StartError(f"{', '.join(missing)} not installed: run `{toolchain.INSTALL}`.")
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def processor() -> str:
    """The processor's kind, its cores, and the vector features that it has of `VECTOR_FEATURES`."""
    features = cpu_features(read("/proc/cpuinfo"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{platform.machine()}, {cores} cores, {' '.join(features) or 'no vector features known'}"


def cpu_features(cpuinfo: str) -> list[str]:
    """The vector features that decide the speed here, in the order of `VECTOR_FEATURES`."""
    lines = [line for line in cpuinfo.splitlines() if line.startswith("flags")]
    flags = set(lines[0].split()) if lines else set()
    return [feature for feature in VECTOR_FEATURES if feature in flags]


def memory() -> str:
    """How much memory there is and how much of it is free, in GB; in a container also what it may use."""
    sizes = {}
    for line in read("/proc/meminfo").splitlines():
        name, _, size = line.partition(":")
        if name in ("MemTotal", "MemAvailable"):
            sizes[name] = int(size.split()[0]) * 1024 / GIGABYTE
    if len(sizes) < 2:
        return "unknown"
    text = f"{sizes['MemTotal']:.1f} GB, {sizes['MemAvailable']:.1f} GB available"
    limit = read("/sys/fs/cgroup/memory.max").strip()
    return f"{text}, this container may use {int(limit) / GIGABYTE:.1f} GB" if limit.isdigit() else text


def cache_folder(folder: Path) -> Finding:
    """Whether there is room for what is compiled and kept there."""
    free = shutil.disk_usage(folder).free
    text = f"{folder}, writable, {free / GIGABYTE:.1f} GB free"
    if free < DISK_NEEDED:
        return Finding("cache folder", problem=f"{text}: free some, or set JSTYLE_CACHE to a folder on another disk.")
    return Finding("cache folder", text)


def cuda_findings(home: Path) -> Iterator[Finding]:
    """The driver, each toolkit with what it lacks, and what follows from them."""
    driver = cuda.find_driver()
    if driver is None:
        yield Finding("CUDA driver", "none")
    else:
        yield Finding("CUDA driver", f"for CUDA up to {toolchain.dotted(driver.cuda)}, {driver.devices} GPUs")
    toolkits = cuda.find_toolkits(home, os.environ.get("PATH", ""))
    for kit in toolkits:
        version = toolchain.dotted(kit.version) if kit.version else "unknown"
        lacks = "with cuDNN and all other libraries" if kit.whole else f"lacks {', '.join(kit.missing)}"
        yield Finding("CUDA toolkit", f"{version} at {kit.nvcc}, {lacks}")
    if "nvcc_path" in os.environ:
        yield Finding("CUDA", f"nvcc_path={os.environ['nvcc_path']!r} is set and wins")
        return
    choice = cuda.choose(driver, toolkits, home)
    yield Finding("CUDA", choice.warning or (choice.environ["nvcc_path"] or "not used"))


def compute() -> str:
    """Start Jittor and let it compute. Raises: `StartError`."""
    from jstyle.runtime import jt

    jittor: Any = jt
    try:
        total = float((jittor.ones((4, 4)) @ jittor.ones((4, 4))).sum().numpy()[0])
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise StartError(f"Jittor starts but cannot compute: {reason}") from None
    if total != 64.0:
        raise StartError(f"Jittor computes wrongly: the sum of ones(4, 4) @ ones(4, 4) came out as {total}.")
    device = "CUDA" if jittor.flags.use_cuda else "the CPU"
    blas = "with oneDNN" if jittor.mkl_ops else "without oneDNN"
    return f"started and computed on {device} {blas}"


def kernels() -> str:
    """Build and try the fused kernels, or say what takes their place and why."""
    try:
        from jstyle import ops
        from jstyle.ops.kernels import build, operator
        from jstyle.runtime import jt

        reason = operator.unavailable()
        if reason is not None:
            return f"not used ({reason}): plain Jittor computes, several times slower on a CPU"
        if jt.flags.use_cuda:
            return f"{build.library()}, for the CPU only: plain Jittor computes on CUDA"
        doubled = ops.add(jt.ones((3,)), jt.ones((3,))).numpy()
    except Exception as error:
        return f"not usable: {(str(error).strip().splitlines() or [type(error).__name__])[-1]}"
    return f"{build.library()}, {'in use' if (doubled == 2.0).all() else 'WRONG RESULTS: set JSTYLE_OPS=reference'}"


def read(path: str) -> str:
    """A file's text; nothing where it cannot be read."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""
