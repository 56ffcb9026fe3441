"""What a measurement was taken on."""

from __future__ import annotations

import os
import platform
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Optional

FEATURES = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8", "asimd", "sve")


def describe() -> dict[str, Any]:
    """Processor, memory, system and date, as far as the system tells."""
    text = _read("/proc/cpuinfo")
    flags = (_first(r"^(?:flags|Features)\s*:\s*(.*)$", text) or "").split()
    family, model = (_first(rf"^{name}\s*:\s*(.*)$", text) for name in ("cpu family", "model"))
    memory = _first(r"^MemTotal:\s+(\d+) kB", _read("/proc/meminfo"))
    return {
        "cpu": _first(r"^model name\s*:\s*(.*)$", text) or platform.processor() or platform.machine(),
        "cpu_family_model": f"{family}/{model}" if family and model else None,
        "cores": os.cpu_count(),
        "features": [name for name in FEATURES if name in flags],
        "memory_bytes": int(memory) * 1024 if memory else None,
        "system": _first(r'^PRETTY_NAME="?([^"\n]*)', _read("/etc/os-release")) or platform.platform(),
        "kernel": platform.release(),
        "virtual": "hypervisor" in flags,
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "load_before": [round(one, 2) for one in os.getloadavg()],
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(("OMP_", "KMP_", "GOMP_", "MKL_", "ONEDNN_", "DNNL_", "MALLOC_", "JSTYLE_OPS"))
        },
    }


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _first(pattern: str, text: str) -> Optional[str]:
    found = re.search(pattern, text, re.M)
    return found[1] if found else None
