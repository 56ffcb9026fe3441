"""Imported first by the scripts: what runs is this checkout's own code, whatever is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def run_command(words: str) -> NoReturn:
    """``jstyle WORDS`` with the process's arguments behind, and leave with its exit code."""
    from jstyle.cli.main import main

    leave_with(lambda argv, prog: main([*words.split(), *argv], prog))


def leave_with(main: Callable[[Sequence[str], str], int]) -> NoReturn:
    """Call ``main`` with the process's arguments and the script's name, and leave with its exit code."""
    from jstyle.cli.exit_codes import exit_with

    try:
        exit_with(lambda: main(sys.argv[1:], Path(sys.argv[0]).name))
    except ModuleNotFoundError as error:
        mend = "`bash scripts/quickstart.sh` makes .venv, whose Python has it: .venv/bin/python"
        sys.exit(f"error: {error.name} is not installed for {sys.executable}; {mend} {sys.argv[0]}")
