"""``jstyle doctor`` and ``jstyle completion``: what has to do with this installation alone."""

from __future__ import annotations

from jstyle.cli.command import WordCommand
from jstyle.errors import InputError


def examine() -> int:
    """Say what this machine has for Jittor. Returns 1 where something essential is missing."""
    from jstyle.doctor import report

    return report()


def print_completion(shell: str) -> int:
    """Print what a shell is to read. Raises InputError where shtab is not installed."""
    from jstyle.cli.commands import list_commands
    from jstyle.cli.completion import join_parsers

    try:
        import shtab
    except ImportError as error:
        raise InputError("shtab, which writes completions, is not installed: pip install shtab") from error
    print(shtab.complete(join_parsers(list_commands()), shell))
    return 0


DOCTOR = WordCommand("doctor", "looks at this machine and tries to start Jittor on it", examine)
COMPLETION = WordCommand(
    "completion",
    'prints what makes a shell complete commands and options: eval "$(jstyle completion bash)"',
    print_completion,
    metavar="SHELL",
    choices=("bash", "zsh", "tcsh"),
)
