"""The start of Jittor: decisions on made-up machines, and the real thing in processes of its own."""

from __future__ import annotations

import fcntl
import importlib
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Optional

import pytest

from jstyle.runtime import StartError, cuda, onednn, start, toolchain

ROOT = Path(__file__).parents[2]
LINUX = ("Linux", "x86_64")
# what a start leaves in the environment for child processes
DECISIONS = (*start.PLAIN_JITTOR, "nvcc_path", "use_mkl", "log_silent", "cc_path", "python_config_path")


def python(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Python as a user would: with no decision of this process in the environment."""
    clean = {name: value for name, value in os.environ.items() if name not in DECISIONS}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env={**clean, **environ}, cwd=ROOT, capture_output=True, text=True, timeout=900)


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


# ---- the toolchain


@pytest.mark.parametrize("version", [(3, 9), (3, 10), (3, 11), (3, 12)])
def test_supported_pythons_pass(version: tuple[int, int]) -> None:
    toolchain.check_python(version, "linux")


@pytest.mark.parametrize(
    ("version", "system", "says"),
    [
        ((3, 8), "linux", "Python 3.8 is not supported: use Python 3.9 to 3.12"),
        ((3, 13), "linux", "Python 3.13"),
        ((3, 11), "win32", "Windows"),
    ],
)
def test_other_machines_are_named(version: tuple[int, int], system: str, says: str) -> None:
    with pytest.raises(StartError, match=says):
        toolchain.check_python(version, system)


@pytest.mark.parametrize(
    ("jittor", "numpy", "says"),
    [
        (None, "1.26.4", "Jittor is not installed"),
        ("1.3.11.0", None, "NumPy is not installed"),
        ("1.3.11.0", "2.0.0", "NumPy 1, but 2.0.0"),
        ("1.3.11.0", "10.1", "NumPy 1, but 10.1"),
    ],
)
def test_missing_and_wrong_packages_are_named(jittor: Optional[str], numpy: Optional[str], says: str) -> None:
    toolchain.check_packages("1.3.11.0", "1.26.4")
    with pytest.raises(StartError, match=says) as caught:
        toolchain.check_packages(jittor, numpy)
    assert "pip install" in str(caught.value)


def test_compiler_is_the_users_or_gcc(tmp_path: Path) -> None:
    gcc = executable(tmp_path / "g++", "")
    own = executable(tmp_path / "other" / "clang++", "")
    path = {"PATH": str(tmp_path)}
    assert toolchain.find_compiler(path, "linux") == str(gcc)
    assert toolchain.find_compiler({**path, "cc_path": str(own)}, "linux") == str(own)
    with pytest.raises(StartError, match=r"g\+\+.*apt install g\+\+"):
        toolchain.find_compiler({"PATH": str(tmp_path / "other")}, "linux")
    with pytest.raises(StartError, match="correct or unset cc_path"):
        toolchain.find_compiler({**path, "cc_path": "/nowhere/g++"}, "linux")


def test_python_config_is_named_only_where_jittor_finds_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"python3.{sys.version_info.minor}-config"
    interpreter = str(tmp_path / "venv" / "bin" / "python")
    own = executable(tmp_path / "base" / "bin" / name, "")
    monkeypatch.setattr(toolchain.sysconfig, "get_config_var", lambda _: str(own.parent))
    assert toolchain.find_python_config(interpreter, system=()) == str(own)

    executable(tmp_path / "usr" / "bin" / name, "")
    assert toolchain.find_python_config(interpreter, system=[str(tmp_path / "usr")]) is None

    own.unlink()
    with pytest.raises(StartError, match=f"apt install python3.{sys.version_info.minor}-dev"):
        toolchain.find_python_config(interpreter, system=())


# ---- oneDNN


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with made-up oneDNN wheels, and somebody else's header beside theirs."""
    environment = tmp_path / "environment"
    site = environment / "lib" / "python3" / "site-packages"
    contents = {
        "onednn_cpu_gomp": ["../../libdnnl.so", "../../libdnnl.so.2", "../../libmkldnn.so"],
        "onednn_devel_cpu_gomp": ["../../../include/dnnl.hpp", "../../../include/oneapi/dnnl/dnnl.h"],
    }
    for package, files in contents.items():
        info = site / f"{package}-2021.2.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: 2021.2.0\n")
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in [*files, "../../cmake/dnnl.cmake"]))
        for file in files:
            path = Path(os.path.normpath(site / file))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file)
    (environment / "include" / "foreign.h").touch()
    monkeypatch.setattr(sys, "path", [str(site)])
    return environment


def test_wheels_are_linked_to_where_jittor_looks(wheels: Path, tmp_path: Path) -> None:
    folder = onednn.find_onednn(tmp_path, LINUX)
    assert folder == tmp_path / ".cache/jittor/mkl/dnnl_lnx_2.2.0_cpu_gomp"
    linked = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert linked == {
        "lib/libdnnl.so", "lib/libdnnl.so.2", "lib/libmkldnn.so", "include/dnnl.hpp", "include/oneapi/dnnl/dnnl.h",
    }  # fmt: skip
    # one library under all its names, so that a process loads it once
    assert len({(folder / "lib" / name).resolve() for name in os.listdir(folder / "lib")}) == 1


def test_dangling_links_are_repaired(wheels: Path, tmp_path: Path) -> None:
    folder = onednn.find_onednn(tmp_path, LINUX)
    assert folder is not None
    (folder / "lib" / "libmkldnn.so").unlink()
    (folder / "lib" / "libmkldnn.so").symlink_to("/an/environment/that/was/deleted/libmkldnn.so")
    assert onednn.find_onednn(tmp_path, LINUX) == folder
    assert (folder / "lib" / "libmkldnn.so").is_file()


@pytest.mark.parametrize("files", [{}, {Path("lib/libmkldnn.so"): Path("/other/environment/libmkldnn.so")}])
def test_what_works_is_left_alone(files: dict[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "wheel_files", lambda: files)
    folder = tmp_path / ".cache/jittor/mkl/dnnl_lnx_2.2.0_cpu_gomp"
    for name in ("lib/libmkldnn.so", "lib/libdnnl.so.2", "include/dnnl.hpp"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("downloaded")
    assert onednn.find_onednn(tmp_path, LINUX) == folder
    assert (folder / "lib" / "libmkldnn.so").read_text() == "downloaded"


def test_half_the_wheels_are_none(wheels: Path, tmp_path: Path) -> None:
    (wheels / "include" / "dnnl.hpp").unlink()
    assert onednn.find_onednn(tmp_path, LINUX) is None
    assert onednn.find_onednn(tmp_path, ("Linux", "riscv64")) is None


def test_what_a_plain_jittor_has_downloaded_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "wheel_files", lambda: {})
    downloaded = tmp_path / "plain/mkl/dnnl_lnx_2.2.0_cpu_gomp"
    for name in ("lib/libmkldnn.so", "lib/libdnnl.so.2", "include/dnnl.hpp"):
        (downloaded / name).parent.mkdir(parents=True, exist_ok=True)
        (downloaded / name).touch()
    folder = onednn.find_onednn(tmp_path / "ours", LINUX, tmp_path / "plain")
    assert folder == tmp_path / "ours/.cache/jittor/mkl/dnnl_lnx_2.2.0_cpu_gomp"
    assert folder is not None and folder.samefile(downloaded)

    (tmp_path / "plain/jtcuda").mkdir()
    cuda.share_installed(tmp_path / "ours", tmp_path / "plain")
    assert cuda.jtcuda(tmp_path / "ours").samefile(tmp_path / "plain/jtcuda")


def test_many_starts_at_once_link_once(wheels: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        folders = list(pool.map(lambda _: onednn.find_onednn(tmp_path, LINUX), range(64)))
    assert all(folder is not None and onednn.is_whole(folder) for folder in folders)
    assert sorted(os.listdir(folders[0].parent)) == ["dnnl_lnx_2.2.0_cpu_gomp", "linking.lock"]


# ---- the start


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No decision made yet, no CUDA, no oneDNN wheels and no plain Jittor."""
    monkeypatch.setenv("JITTOR_HOME", str(tmp_path / "nowhere"))
    for name in (*DECISIONS, "log_v"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(start.cuda, "find_driver", lambda: None)
    monkeypatch.setattr(onednn, "wheel_files", lambda: {})


def test_without_onednn_it_starts_with_a_warning(bare_machine: None, tmp_path: Path) -> None:
    settings, warnings = start.decide(tmp_path, verbose=False)
    assert settings["use_mkl"] == "0" and settings["nvcc_path"] == "" and settings["log_silent"] == "1"
    assert len(warnings) == 1 and "slower" in warnings[0] and "pip install onednn-cpu-gomp" in warnings[0]


def test_the_users_settings_win(bare_machine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("use_mkl", "0")
    monkeypatch.setenv("nvcc_path", "/my/nvcc")
    monkeypatch.setattr(start.cuda, "find_driver", lambda: pytest.fail("looked for a GPU"))
    settings, warnings = start.decide(tmp_path, verbose=True)
    assert not warnings and not {"use_mkl", "nvcc_path", "log_silent"} & set(settings)


def test_downloads_are_refused_while_it_starts() -> None:
    from jstyle.runtime import jt

    misc = importlib.import_module("jittor_utils.misc")
    assert jt is sys.modules["jittor"]
    original = misc.download_url_to_local
    with start.no_downloads(), pytest.raises(StartError, match=r"https://example\.org/x\.tgz"):
        misc.download_url_to_local("https://example.org/x.tgz", "x.tgz", "/tmp", "md5")
    assert misc.download_url_to_local is original


def test_an_interrupted_first_start_is_cleaned_up(tmp_path: Path) -> None:
    for name in ("jit_utils_core.built.so", "jit_utils_core.built.so.key", "jit_utils_core.half.so"):
        (tmp_path / name).touch()
    start.discard_half_built(SimpleNamespace(cache_path=tmp_path, lock=SimpleNamespace(lock_scope=nullcontext)))
    assert sorted(os.listdir(tmp_path)) == ["jit_utils_core.built.so", "jit_utils_core.built.so.key"]


def test_a_jittor_that_ends_the_process_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does where it rebuilt a library that it had loaded; the user's command goes on."""
    answers: list[object] = [SystemExit(0), "Jittor", SystemExit(0), SystemExit(0)]

    def answer(name: str) -> object:
        assert name == "jittor" and "jittor.compiler" not in sys.modules
        sys.modules["jittor.compiler"] = SimpleNamespace()  # type: ignore[assignment]
        said = answers.pop(0)
        if isinstance(said, SystemExit):
            raise said
        return said

    monkeypatch.setattr(sys, "modules", {name: sys.modules[name] for name in sys.modules if "jittor" not in name})
    monkeypatch.setattr(start.importlib, "import_module", answer)
    assert start.import_persistently() == "Jittor"
    del sys.modules["jittor.compiler"]
    with pytest.raises(StartError, match="doctor"):
        start.import_persistently()


def test_first_start_is_announced_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lock = tmp_path / "jittor.lock"
    lock.touch()
    utils = SimpleNamespace(cache_path=tmp_path, lock=SimpleNamespace(lock_path=lock))
    start.announce(utils)
    assert "once" in capfd.readouterr().err
    with open(lock) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        start.announce(utils)
    assert "waiting" in capfd.readouterr().err
    (tmp_path / "jittor_core.cpython.so.key").touch()
    start.announce(utils)
    assert capfd.readouterr().err == ""


def test_progress_shows_only_what_takes_long(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def compile_three() -> str:
        progress = start.CompileProgress("Compiling jittor_core", 3)
        for index in range(3):
            progress.update(index)
        return capfd.readouterr().err

    assert compile_three() == ""
    monkeypatch.setattr(start.CompileProgress, "DELAY", -1.0)
    assert "Compiling jittor_core" in compile_three()


# ---- the real thing, a few seconds each

SURVIVES = """
import os, signal, ssl, subprocess, sys
before = ssl._create_default_https_context
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
import jstyle
from jstyle.runtime import jt
assert float((jt.ones((2, 2)) @ jt.ones((2, 2))).sum().numpy()[0]) == 8.0
assert ssl._create_default_https_context is before, "HTTPS verification is off"
child = subprocess.Popen(["sleep", "60"])
child.kill()
child.wait()
try:
    os.kill(os.getpid(), signal.SIGINT)
    import time
    time.sleep(10)
except KeyboardInterrupt:
    print("interrupted", jt.has_cuda, repr(os.environ["nvcc_path"]), flush=True)
"""


def test_half_a_cuda_starts_quietly_on_the_cpu_and_leaves_the_process_alone(tmp_path: Path) -> None:
    executable(tmp_path / "nvcc", "echo 'Cuda compilation tools, release 12.2, V12.2.140'")
    ran = python("-c", SURVIVES, PATH=f"{tmp_path}:{os.environ['PATH']}", CUDA_VISIBLE_DEVICES="")
    assert (ran.returncode, ran.stdout) == (0, "interrupted False ''\n"), ran.stderr
    # Jittor's C++ writes this line about kernels it compiles for the first time, whatever its settings
    assert re.sub(r"Compiling Operators\([^\r\n]*", "", ran.stderr).strip() == ""


def test_no_compiler_is_one_line(tmp_path: Path) -> None:
    ran = python("-c", "from jstyle.runtime import jt", PATH=str(tmp_path))
    assert ran.returncode == 1
    assert ran.stderr.startswith("jstyle: No C++ compiler") and ran.stderr.count("\n") == 1


def test_numpy_2_is_one_line(tmp_path: Path) -> None:
    info = tmp_path / "numpy-2.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 2.1.0\n")
    ran = python("-c", "from jstyle.runtime import jt", PYTHONPATH=str(tmp_path))
    assert ran.returncode == 1
    assert ran.stderr.startswith("jstyle: Jittor needs NumPy 1, but 2.1.0") and ran.stderr.count("\n") == 1


KILLED_COMPILERS = """
import atexit, os, signal, time
from multiprocessing import Pool
from types import SimpleNamespace
from jstyle.runtime.leaving import leave_without_waiting
utils = SimpleNamespace()
leave_without_waiting(utils)
utils.p = Pool(4)
utils.p.map(abs, range(8))
atexit.register(utils.pool_cleanup)
for worker in utils.p._pool:
    os.kill(worker.pid, signal.SIGTERM)
time.sleep(0.5)
print("done")
"""


def test_a_signal_that_reached_the_compilers_too_does_not_keep_the_process() -> None:
    ran = python("-c", KILLED_COMPILERS)  # it waits for processes that are left, too
    assert (ran.returncode, ran.stdout) == (0, "done\n"), ran.stderr


def test_short_programs_on_a_busy_machine_end() -> None:
    """Jittor would wait for ever for a compiling thread that had not had its turn yet when all was done."""
    program = "from jstyle.runtime import jt; print(jt.randn(3).numpy().shape)"
    running = [
        subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(3 * len(os.sched_getaffinity(0)))
    ]
    try:
        assert [one.communicate(timeout=900)[0] for one in running] == ["(3,)\n"] * len(running)
    finally:
        for one in running:
            one.kill()
