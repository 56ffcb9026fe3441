"""The memory that there is, and that this process may still have: the machine's, or what its container is given."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional

_MACHINE = Path("/proc/meminfo")
_GROUPS = Path("/sys/fs/cgroup")  # of a container, its own; version 2 first, then version 1
_LIMITS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def measure_free_memory() -> int:
    """Bytes that can be had without swapping; 0 where the system does not say."""
    left = [_read_machine("MemAvailable:", "SC_AVPHYS_PAGES"), *(_read_group(*names) for names in _LIMITS)]
    return min((number for number in left if number is not None), default=0)


def measure_memory() -> int:
    """Bytes that there are, used or not; 0 where the system does not say."""
    whole = [_read_machine("MemTotal:", "SC_PHYS_PAGES"), *(_read_limit(limit) for limit, _, _ in _LIMITS)]
    return min((number for number in whole if number is not None), default=0)


def _read_machine(name: str, pages: str) -> Optional[int]:
    try:
        return _read_number(_MACHINE, name) * 1024
    except (OSError, ValueError):
        pass
    try:
        return int(os.sysconf(pages)) * int(os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError):
        return None


def _read_limit(limit: str) -> Optional[int]:
    """What a container is given; nothing where there is none, or one without a limit ("max")."""
    try:
        return int((_GROUPS / limit).read_text())
    except (OSError, ValueError):
        return None


def _read_group(limit: str, used: str, details: str) -> Optional[int]:
    """What a container's limit leaves; what it holds of files that can be dropped counts as free."""
    most = _read_limit(limit)
    try:
        taken = int((_GROUPS / used).read_text()) - _read_number(_GROUPS / details, "inactive_file")
    except (OSError, ValueError):
        return None
    return None if most is None else max(most - taken, 0)


def _read_number(file: Path, name: str) -> int:
    """The number behind a name, the first on its line. Raises ValueError where there is none."""
    for line in file.read_text().splitlines():
        words = line.split()
        if words[:1] == [name]:
            return int(words[1])
    raise ValueError(f"{file} does not say {name}")
