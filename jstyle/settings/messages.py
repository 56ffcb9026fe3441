"""The one line that is said of a wrong setting: where it stands, what it must be, what it is."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from jstyle.errors import InputError, make_printable

_LONGEST_LINE, _LONGEST_PATH, _LONGEST_VALUE = 500, 100, 40
_MOST_NAMES = 50
_NAME = re.compile(r"(?<![\w.\-'\"])[a-z]\w*(?![\w.]*['\"])")  # as a word by itself, not quoted, not spelt already


@dataclass(frozen=True)
class Where:
    """Where a value stands: `place` is a file, a section or an option, `path` the dotted path within.

    `dashes` is what settings' names begin with where they are options.
    """

    place: str = ""
    path: str = ""
    dashes: str = ""

    def within(self, name: object) -> Where:
        """Where the entry `name` of a mapping stands."""
        return replace(self, path=f"{self.path}.{name}" if self.path else str(name))

    def item(self, index: int) -> Where:
        """Where an item of a list stands."""
        return replace(self, path=f"{self.path}[{index}]" if self.path else f"item {index + 1}")

    def error(self, message: str) -> InputError:
        """The error that something is wrong with the settings that stand here."""
        return InputError(one_line(": ".join(part for part in (self.place, self._spell_path(), message) if part)))

    def missing(self, name: str) -> InputError:
        """The error that a setting has no value."""
        return Where(self.place).error(f"{self.within(name)._spell_path()} is missing")

    def mismatch(self, demand: str, value: object, advice: str = "") -> InputError:
        """The error that the value which stands here is not what it must be."""
        message = f"must be {demand}, not {show(value)}" + (f" ({advice})" if advice else "")
        return Where(self.place).error(f"{self._spell_path()} {message}" if self.path else message)

    def refusal(self, message: str, names: Collection[str]) -> InputError:
        """The error with which settings of these names that stand here refuse themselves.

        Of `message` the first word, and each with an underscore, that is such a name is spelt as it is given here:
        "warmup must be ..." as "--loop.warmup must be ...".
        """

        def spell(word: re.Match[str]) -> str:
            is_name = word[0] in names and ("_" in word[0] or word.start() == 0)
            return self.within(word[0])._spell_path() if is_name else word[0]

        spelt = _NAME.sub(spell, message)
        begins_with_name = spelt != message and not spelt.startswith(message.partition(" ")[0])
        return Where(self.place).error(spelt) if begins_with_name else self.error(spelt)

    def _spell_path(self) -> str:
        return self.path and _shorten(f"{self.dashes}{self.path}")


def suggest(name: object, names: Iterable[str]) -> str:
    """What stands behind an unknown name: the name that was meant, else all there are."""
    names = list(names)
    return guess(name, names) or f"there are: {_list_names(names)}"


def guess(name: object, names: Iterable[str]) -> str:
    """The name that was meant, as a question; nothing where none is like it."""
    meant = find_close(name, names)
    return f"did you mean {meant}?" if meant else ""


def find_close(name: object, names: Iterable[str], least: float = 0.6) -> str:
    """The name that is most like another, capitals making no difference; nothing where none is by `least` (0 to 1)."""
    lowered = {other.lower(): other for other in names}
    close = difflib.get_close_matches(str(name).lower(), lowered, 1, least)
    return lowered[close[0]] if close else ""


def _list_names(names: Sequence[str]) -> str:
    return ", ".join([*names[:_MOST_NAMES], *(["..."] if len(names) > _MOST_NAMES else [])]) or "none"


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
