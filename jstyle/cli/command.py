"""A command: its words, what it says of itself, and what it does."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

from jstyle.errors import InputError
from jstyle.settings.configs import find_config
from jstyle.settings.words import make_parser, parse_words


class Command(Protocol):
    """``jstyle WORDS``. `main` returns the exit code; it raises InputError and SystemExit(0) as `parse_words` does."""

    @property
    def words(self) -> str:
        """What is typed after `jstyle`, such as "train lora"."""
        ...

    @property
    def summary(self) -> str:
        """What the command does, in a line without a full stop."""
        ...

    @property
    def source(self) -> str:
        """The paper that describes it, or nothing."""
        ...

    def make_parser(self, prog: str) -> argparse.ArgumentParser:
        """What completion is made from."""
        ...

    def main(self, argv: Sequence[str], prog: str) -> int:
        """Read the words and run."""
        ...


@dataclass(frozen=True)
class SettingsCommand:
    """A command whose options are the fields of settings dataclasses; ``run`` takes one instance of each."""

    words: str
    summary: str
    settings: tuple[type, ...]
    run: Callable[..., int]
    source: str = ""

    def make_parser(self, prog: str) -> argparse.ArgumentParser:
        """Every option of the command."""
        return make_parser(self.settings, prog, self._description())

    def main(self, argv: Sequence[str], prog: str) -> int:
        """Read the words and run."""
        return self.run(*parse_words(self.settings, argv, prog, self._description(), find_config))

    def _description(self) -> str:
        return f"{_sentence(self.summary)} ({self.source})." if self.source else f"{_sentence(self.summary)}."


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
        parser = _Parser(prog=prog, description=f"{_sentence(self.summary)}.", exit_on_error=False)
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


def _sentence(summary: str) -> str:
    return summary[:1].upper() + summary[1:]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message)
