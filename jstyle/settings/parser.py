"""The parser of every command; it needs Python alone, so that the doctor comes where packages are missing."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any, NoReturn

from jstyle.errors import InputError

_NEGATIVE = re.compile(r"-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$|-inf$")


class LineParser(argparse.ArgumentParser):
    """A parser for which --batch-size is --batch_size, -1e-3 is a number, and an error is an InputError."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._negative_number_matcher = _NEGATIVE

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's; options may be spelt with hyphens."""
        words, known = list(sys.argv[1:] if args is None else args), list_spellings(self)
        for index, word in enumerate(words):
            if word == "--":
                break
            name, sign, value = word.partition("=")
            spelling = f"--{name[2:].replace('-', '_')}"
            if name.startswith("--") and name not in known and spelling in known:
                words[index] = f"{spelling}{sign}{value}"
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print below its usage."""
        raise InputError(message)


def list_spellings(parser: argparse.ArgumentParser) -> list[str]:
    """Every spelling of its options."""
    return [name for action in parser._actions for name in action.option_strings]
