"""What a run leaves behind: progress on stderr, its record as JSON, and the command that repeats it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PATHS: dict[str, list[str]] = {  # options whose values are one machine's, and what a result shows in their place
    **{option: [] for option in ("--weights", "--peers", "--jstyle", "--output")},
    "--jdiffusion": ["--jdiffusion", "PYTHON"],
}


def write(record: dict[str, Any], file: Path) -> None:
    """Store a run's record."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    say(f"written to {file}")


def say(line: str) -> None:
    """Progress, on stderr."""
    print(f"  {line}", file=sys.stderr, flush=True)


def command_line() -> str:
    """The command without this machine's paths."""
    words = ["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}"]
    given = iter(sys.argv[1:])
    for word in given:
        if word in PATHS:
            next(given, None)
        words += PATHS.get(word, [word])
    return " ".join(words)
