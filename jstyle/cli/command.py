"""A command: its words, what it says of itself, and what it does."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Protocol

from jstyle.cli.paths import check_file, fetch_checked
from jstyle.settings.configs import find_config
from jstyle.settings.model import NamesModel
from jstyle.settings.words import make_parser, parse_words

if TYPE_CHECKING:
    from jstyle.methods.recalled import Recalled


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
    leading: str = ""
    """The option that words before all options are for."""

    recall: Optional[Callable[[Path, Collection[str]], Recalled]] = None
    """What `--from PICTURE` takes from it, beside settings of these names that are given."""

    def make_parser(self, prog: str) -> argparse.ArgumentParser:
        """Every option of the command."""
        return make_parser(self.settings, prog, describe(self), takes_picture=self.recall is not None)

    def main(self, argv: Sequence[str], prog: str) -> int:
        """Read the words and run."""
        if self.leading and argv and not argv[0].startswith("-"):
            argv = [f"--{self.leading}", *argv]
        recalled: list[Recalled] = []

        def read_picture(path: Path, given: Collection[str]) -> Recalled:
            recalled.append(self._read_picture(path, given))
            return recalled[0]

        reader = None if self.recall is None else read_picture
        parsed = parse_words(self.settings, argv, prog, describe(self), find_config, reader)
        settings = []
        for part in parsed:
            settings.append(fetch_checked(part))
        for found in recalled:
            found.check_model(next(part for part in settings if isinstance(part, NamesModel)))
        return self.run(*settings)

    def _read_picture(self, path: Path, given: Collection[str]) -> Recalled:
        assert self.recall is not None
        return read_picture(self.recall, path, given)


def describe(command: Command) -> str:
    """What a command's help says of it."""
    sentence = command.summary[:1].upper() + command.summary[1:]
    return f"{sentence} ({command.source})." if command.source else f"{sentence}."


def read_picture(recall: Callable[[Path, Collection[str]], Recalled], path: Path, given: Collection[str]) -> Recalled:
    """What `--from PICTURE` takes from it, with what is to be told of that. Raises InputError as ``recall`` does."""
    check_file(path)
    recalled = recall(path, given)
    for line in recalled.lines:
        print(line, file=sys.stderr)
    return recalled
