"""The free memory: the machine's, unless a container's limit leaves less."""

from __future__ import annotations

from pathlib import Path

import pytest

from jstyle.runtime import memory

MIB = 2**20


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 100 MiB to be had, whose control groups are in a folder."""
    (tmp_path / "meminfo").write_text(f"MemTotal: 999999 kB\nMemFree: 1 kB\nMemAvailable: {100 * 1024} kB\n")
    monkeypatch.setattr(memory, "_MACHINE", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    return tmp_path


def test_the_machines(machine: Path) -> None:
    assert memory.measure_free_memory() == 100 * MIB
    assert memory.measure_memory() == 999999 * 1024
    (machine / "memory.max").write_text("max\n")  # a container without a limit
    (machine / "memory.current").write_text("7\n")
    (machine / "memory.stat").write_text("inactive_file 3\n")
    assert memory.measure_free_memory() == 100 * MIB


@pytest.mark.parametrize(
    ("limit", "used"),
    [("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")],
)
def test_a_containers(machine: Path, limit: str, used: str) -> None:
    (machine / "memory").mkdir()
    for file, text in (
        (limit, f"{64 * MIB}\n"),
        (used, f"{60 * MIB}\n"),
        ((machine / limit).with_name("memory.stat"), f"anon 1\ninactive_file {10 * MIB}\n"),
    ):
        (machine / file).write_text(text)
    assert memory.measure_free_memory() == (64 - 60 + 10) * MIB
    assert memory.measure_memory() == 64 * MIB
    (machine / limit).write_text(f"{2**63 - 4096}\n")  # as much as version 1 says where there is no limit
    assert memory.measure_free_memory() == 100 * MIB


def test_a_system_that_does_not_say(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "meminfo").unlink()

    def refuse(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr("os.sysconf", refuse)
    assert memory.measure_free_memory() == 0 and memory.measure_memory() == 0
