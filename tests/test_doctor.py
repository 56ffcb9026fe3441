"""The doctor's report: right on a machine that works, useful on one that does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jstyle import doctor
from jstyle.cli.main import main
from jstyle.doctor import Finding
from jstyle.runtime import StartError

ROOT = Path(__file__).parents[1]


def test_a_machine_without_a_compiler_is_told_the_mend(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "cc_path"}
    command = [sys.executable, "-m", "jstyle", "doctor"]
    ran = subprocess.run(command, env={**environ, "PATH": str(tmp_path)}, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1 and ran.stderr == ""
    assert "Something essential is missing:\n  No C++ compiler (g++)" in ran.stdout
    assert ran.stdout.count("apt install g++") == 4  # at the compiler, Jittor and the kernels, and in the verdict


def test_this_machine_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    for label in (
        "python:",
        "packages:",
        "compiler:",
        "oneDNN:",
        "CUDA:",
        "cache folder:",
        "Jittor's cache:",
        "memory:",
        "JDiffusion:",
        "kernels:",
    ):
        assert f"\n{label}" in printed
    assert "started and computed on" in printed and "All that is essential is here." in printed


def test_a_problem_is_shown_once_in_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        Finding("one", "fine"),
        Finding("two", problem="broken: mend it"),
        Finding("three", problem="broken: mend it"),
    ]
    monkeypatch.setattr(doctor, "findings", lambda: iter(found))
    lines: list[str] = []
    assert doctor.report(lines.append) == 1
    assert lines[-2:] == ["Something essential is missing:", "  broken: mend it"]


def test_missing_packages_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.toolchain, "installed_version", lambda name: None if name == "tqdm" else "1.0")
    with pytest.raises(StartError, match="tqdm not installed: run `pip install jstyle`"):
        doctor.packages()


def test_a_full_disk_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert not doctor.cache_folder(tmp_path).problem
    monkeypatch.setattr(doctor, "DISK_NEEDED", 1e30)
    assert "JSTYLE_CACHE" in doctor.cache_folder(tmp_path).problem


def test_processor_features_are_read() -> None:
    cpuinfo = "processor : 0\nflags\t\t: fpu avx2 avx512f amx_tile\nprocessor : 1\nflags\t\t: fpu\n"
    assert doctor.cpu_features(cpuinfo) == ["avx2", "avx512f", "amx_tile"]
    assert doctor.cpu_features("") == []


def test_memory_tells_a_containers_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "/proc/meminfo": "MemTotal: 1000000 kB\nMemAvailable: 500000 kB\n",
        "/sys/fs/cgroup/memory.max": "5000000000\n",
    }
    monkeypatch.setattr(doctor, "read", lambda path: files[path])
    assert doctor.memory() == "1.0 GB, 0.5 GB available, this container may use 5.0 GB"
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert doctor.memory() == "1.0 GB, 0.5 GB available"
