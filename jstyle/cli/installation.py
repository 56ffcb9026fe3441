"""``jstyle doctor`` and ``jstyle completion``: what has to do with this installation alone.

Of other packages nothing is imported here: the doctor comes also where some are missing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jstyle.errors import InputError
from jstyle.settings.parser import LineParser
from jstyle.table import load_attribute


@dataclass(frozen=True)
class WordCommand:
    """A command that takes at most a word; ``run`` takes what was given."""

    words: str
    summary: str
    run: Callable[..., int]
    metavar: str = ""
    choices: tuple[str, ...] = ()
    source: str = ""

    def make_parser(self, prog: str) -> argparse.ArgumentParser:
        """The word, where there is one to choose."""
        parser = LineParser(
            prog=prog, description=f"{self.summary[:1].upper()}{self.summary[1:]}.", exit_on_error=False
        )
        if self.choices:
            parser.add_argument("word", metavar=self.metavar, choices=self.choices, help=", ".join(self.choices))
        return parser

    def main(self, argv: Sequence[str], prog: str) -> int:
        """Read the word and run."""
        try:
            words = vars(self.make_parser(prog).parse_args(argv))
        except argparse.ArgumentError as error:
            raise InputError(str(error)) from None
        return self.run(*words.values())


def examine() -> int:
    """Say what this machine has for Jittor. Returns 1 where something essential is missing."""
    return load_attribute("jstyle.doctor:report")()


def print_completion(shell: str) -> int:
    """Print what a shell is to read. Raises InputError where shtab is not installed."""
    from jstyle.cli.commands import iterate_commands

    join_parsers = load_attribute("jstyle.cli.completion:join_parsers")  # it needs every command

    try:
        import shtab
    except ImportError as error:
        raise InputError("shtab, which writes completions, is not installed: pip install shtab") from error
    print(shtab.complete(join_parsers(iterate_commands()), shell))
    return 0


DOCTOR = WordCommand("doctor", "looks at this machine and tries to start Jittor on it", examine)
COMPLETION = WordCommand(
    "completion",
    'prints what makes a shell complete commands and options: eval "$(jstyle completion bash)"',
    print_completion,
    metavar="SHELL",
    choices=("bash", "zsh", "tcsh"),
)
COMMANDS = (DOCTOR, COMPLETION)
