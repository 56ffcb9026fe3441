"""``jstyle COMMAND ...``: find the command, hand it its words, leave with its exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn, Optional

from jstyle import __version__
from jstyle.cli import installation
from jstyle.cli.exit_codes import exit_with

_USAGE = """usage: jstyle COMMAND [options]

Style transfer and style training with Stable Diffusion in Jittor.
`jstyle COMMAND --help` lists the options of a command."""


def main(argv: Sequence[str], prog: Optional[str] = None) -> int:
    """The exit code of the command that the words are. ``prog`` is what its help calls it.

    Raises InputError where words are wrong.
    """
    argv = list(argv)
    if argv in (["--version"], ["-V"]):
        print(f"jstyle {__version__}")
        return 0
    if not argv or argv in (["--help"], ["-h"]):
        print(write_overview(), file=sys.stdout if argv else sys.stderr)
        return 0 if argv else 2
    if len(argv) == 2 and argv[1] in ("--help", "-h") and (overview := write_overview(f"{argv[0]} ")):
        print(overview)
        return 0
    for command in installation.COMMANDS:  # not by the tables, which need packages that the doctor may miss
        if argv[0] == command.words:
            return command.main(argv[1:], prog or f"jstyle {command.words}")
    from jstyle.cli.commands import find_command

    command, words = find_command(argv)
    return command.main(words, prog or f"jstyle {command.words}")


def main_and_exit() -> NoReturn:
    """The console command."""
    exit_with(lambda: main(sys.argv[1:]))


def write_overview(start: str = "") -> str:
    """Every command that begins with ``start``, in groups, each with its line; empty where none does."""
    from jstyle.cli.commands import group_commands

    lines = []
    for title, commands in group_commands():
        rows = [
            (command.words, command.summary, command.source) for command in commands if command.words.startswith(start)
        ]
        lines += ["", f"{title}:"] if rows else []
        lines += [f"  {words:<25} {text}{f' ({source})' if source else ''}" for words, text, source in rows]
    return "\n".join([_USAGE, *lines]) if lines else ""
