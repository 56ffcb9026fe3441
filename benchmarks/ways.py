"""How many files somebody opens who follows a command: those of which a function runs, from words to results.

    python -m benchmarks.ways styleid --content A.png --style B.png --output out --steps 3

Rooms that are opened for their own sake are passed over: the reader of settings, Jittor's start, loading weights,
adapters, and (without ``--networks``) what is below the UNet's door, all but the seams. What is only imported does not
count.
"""

from __future__ import annotations

import inspect
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.options import ROOT
from jstyle.cli.main import main

PASSED_OVER = (
    "jstyle/settings",
    "jstyle/runtime",
    "jstyle/weights",
    "jstyle/adapters",
    "jstyle/errors.py",
    "benchmarks",
)
BELOW = ("jstyle/networks", "jstyle/ops")
SEAMS = "jstyle/networks/editing.py"


def trace_files(words: list[str]) -> list[str]:
    """The project's files, by their paths below the root, of which a function ran in a command."""
    files: set[str] = set()
    root = f"{ROOT}/"

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_flags & inspect.CO_OPTIMIZED and code.co_filename.startswith(root):
            files.add(code.co_filename[len(root) :])

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        main(words)
    finally:
        sys.setprofile(None)
    return sorted(file for file in files if not Path(file).parts[0].startswith("."))


def count_way(words: list[str]) -> None:
    """Print the files on a command's way, and how many they are."""
    passed_over = PASSED_OVER if "--networks" in words else (*PASSED_OVER, *BELOW)
    files = trace_files([word for word in words if word != "--networks"])
    way = [file for file in files if file == SEAMS or not file.startswith(passed_over)]
    print("\n".join(way))
    print(f"{len(way)} files, of {len(files)} that the command runs")


if __name__ == "__main__":
    count_way(sys.argv[1:])
