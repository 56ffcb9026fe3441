"""The command line that the benchmarks share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"  # compared with other engines: docs/performance.md shows them all
COSTS = Path(__file__).resolve().parent / "costs"  # seconds and memory of this project's own methods


def default_weights() -> Path:
    """Where random weights are kept: the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "jstyle" / "benchmarks"


def parser(
    doc: Optional[str], sides: Sequence[str], *, precisions: Sequence[str] = ("fp32", "bf16")
) -> argparse.ArgumentParser:
    """A parser with the common options; ``sides`` are those that the benchmark knows."""
    made = argparse.ArgumentParser(description=(doc or "").split("\n", 1)[0])
    made.add_argument("--sides", type=_names(sides), default=list(sides), help=f"of {','.join(sides)}; all by default")
    made.add_argument("--rounds", type=int, default=5, help="timed calls of each side, taken in turn")
    made.add_argument("--threads", type=int, default=_cores(), help="of each side; all cores by default")
    made.add_argument("--precision", choices=precisions, default="fp32")
    made.add_argument("--model", choices=["sd21", "mini"], default="sd21", help="mini only tries the benchmark itself")
    made.add_argument("--weights", type=Path, default=default_weights(), help="folder for random weights, up to 5.3 GB")
    made.add_argument("--no-memory", dest="memory", action="store_false", help="leave out the runs that measure memory")
    made.add_argument("--output", type=Path, help="JSON file; by default one below benchmarks, none for mini")
    made.add_argument("--jstyle", default=sys.executable, help="Python that runs jstyle; this one by default")
    made.add_argument("--peers", default=str(ROOT / ".peers" / "bin" / "python"), help="Python with PyTorch, OpenVINO")
    made.add_argument("--jdiffusion", help="Python with JDiffusion; not measured by default")
    return made


def numbers(text: str) -> list[int]:
    """``1,2,3`` as a list."""
    return [int(one) for one in text.split(",")]


def _names(known: Sequence[str]):
    def read(text: str) -> list[str]:
        names = text.split(",")
        wrong = [name for name in names if name not in known]
        if wrong:
            raise argparse.ArgumentTypeError(f"{wrong[0]!r} is none of {','.join(known)}")
        return names

    return read


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
