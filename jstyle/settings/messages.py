"""The one line that is said of a wrong setting: where it stands, what it must be, what it is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from jstyle.errors import InputError, make_printable

_LONGEST_LINE, _LONGEST_PATH, _LONGEST_VALUE = 500, 100, 40


@dataclass(frozen=True)
class Where:
    """Where a value stands: `place` is a file, a section or an option, `path` the dotted path within."""

    place: str = ""
    path: str = ""

    def within(self, name: object) -> Where:
        """Where the entry `name` of a mapping stands."""
        return Where(self.place, f"{self.path}.{name}" if self.path else str(name))

    def item(self, index: int) -> Where:
        """Where an item of a list stands."""
        return Where(self.place, f"{self.path}[{index}]" if self.path else f"item {index + 1}")

    def error(self, message: str) -> InputError:
        """The error that something is wrong with the settings that stand here."""
        return InputError(one_line(": ".join(part for part in (self.place, _shorten(self.path), message) if part)))

    def missing(self, name: str) -> InputError:
        """The error that a setting has no value."""
        return Where(self.place).error(f"{_shorten(self.within(name).path)} is missing")

    def mismatch(self, demand: str, value: object, advice: str = "") -> InputError:
        """The error that the value which stands here is not what it must be."""
        message = f"must be {demand}, not {show(value)}" + (f" ({advice})" if advice else "")
        return Where(self.place).error(f"{_shorten(self.path)} {message}" if self.path else message)


def suggest(name: object, names: Iterable[str]) -> str:
    """What stands behind an unknown name: the name that was meant, else all there are."""
    names = list(names)
    close = difflib.get_close_matches(str(name), names, 1)
    return f"did you mean {close[0]}?" if close else f"there are: {', '.join(names) or 'none'}"


def show(value: object) -> str:
    """A value as YAML would have it, where that is short."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    try:
        text = repr(value)
    except ValueError:  # whole numbers of more than 4300 digits have no decimal form
        return "a number of that many digits"
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."


def _shorten(path: str) -> str:
    return path if len(path) <= _LONGEST_PATH else f"...{path[3 - _LONGEST_PATH :]}"


def one_line(text: str) -> str:
    """The text without line ends and control characters, and of a length that can be read."""
    line = make_printable(" ".join(text.split()))
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 3]}..."
