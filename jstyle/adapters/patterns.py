"""Regular expressions that a stranger's file gives, matched in a number of steps that is known beforehand.

peft's headers name layers by them. Python's own matcher goes back and forth, and a hostile pattern of twenty characters
keeps it busy for years. Here a pattern maps the set of places that a match may have come to onto the set of places it
may come to next, as bits of one integer, so that no way through it is gone twice; and every such step is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional, Union

from jstyle.errors import InputError

LONGEST = 300  # characters of a pattern
MOST = 10_000  # patterns of a file
STEPS = 2_000_000  # of a file: about a second; 320 layers under as many patterns of their own take a tenth

_DEEPEST = 20
_MOST_TIMES = 1000
_SETS = {"d": str.isdecimal, "w": lambda c: c.isalnum() or c == "_", "s": str.isspace}

Test = Callable[[str], bool]
Node = Callable[["_Subject", int], int]
"""From the places that a match has come to, to those it can come to with this piece of the pattern."""


class Patterns:
    """What a file gives to the layers whose names a pattern fits, of which the first counts, as in peft.

    Literals, ``.``, classes, groups, ``|``, ``^``, ``$`` and repetitions are read. Raises InputError for anything else,
    and, in ``find``, where matching would take more than ``STEPS`` steps.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        if len(values) > MOST:
            raise InputError(f"{len(values)} patterns are more than the {MOST} that are read")
        self._values = [(_Parser(pattern).parse(), value) for pattern, value in values.items()]
        self._steps = [STEPS]

    def find(self, names: Sequence[str], default: Any) -> Any:
        """The value of the first pattern that fits one of a layer's names, whole or after one of its dots."""
        subjects = [_Subject(name, self._steps) for name in names]
        for node, value in self._values:
            if any(node(subject, subject.starts) & subject.end for subject in subjects):
                return value
        return default


class _Subject:
    """A name that is matched: bit i of a set stands for the place before its i-th character."""

    def __init__(self, text: str, steps: list[int]) -> None:
        self.starts = 1 | sum(1 << i + 1 for i, c in enumerate(text) if c == ".")  # peft: (.*\.)?(pattern)$
        self.end = 1 << len(text)
        self._text = text
        self._steps = steps
        self._places: dict[Union[str, Test], int] = {}

    def find_places(self, piece: Union[str, Test]) -> int:
        """Before which characters this text stands, or which pass the test."""
        self.count_step()
        if piece not in self._places:
            text = self._text
            found = [text.startswith(piece, i) if isinstance(piece, str) else piece(c) for i, c in enumerate(text)]
            self._places[piece] = sum(1 << i for i, is_there in enumerate(found) if is_there)
        return self._places[piece]

    def count_step(self) -> None:
        """Raises InputError where the file's steps are used up."""
        if self._steps[0] <= 0:
            raise InputError("its patterns take too long to match; write out the layers' names in them")
        self._steps[0] -= 1


class _Parser:
    """One pattern, read from the left."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0
        if len(pattern) > LONGEST:
            raise InputError(f"a pattern of {len(pattern)} characters is longer than the {LONGEST} that are read")

    def parse(self) -> Node:
        """The whole pattern. Raises InputError for what is not read."""
        node = self._parse_choice()
        if self._peek():
            raise self._refuse()
        return node

    def _parse_choice(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._refuse()
        nodes = [self._parse_sequence()]
        while self._take("|"):
            nodes.append(self._parse_sequence())
        self._depth -= 1

        def match(subject: _Subject, places: int) -> int:
            reached = 0
            for node in nodes:
                reached |= node(subject, places)
            return reached

        return match if len(nodes) > 1 else nodes[0]

    def _parse_sequence(self) -> Node:
        nodes = []
        while self._peek() not in ("", "|", ")"):
            nodes.append(self._parse_repetition(self._parse_piece()))

        def match(subject: _Subject, places: int) -> int:
            for node in nodes:
                places = node(subject, places)
                if not places:
                    break
            return places

        return match

    def _parse_piece(self) -> Node:
        if self._take("("):
            self._take("?:")
            node = self._parse_choice()
            if not self._take(")"):
                raise self._refuse()
            return node
        if self._take("^"):
            return lambda subject, places: places & 1
        if self._take("$"):
            return lambda subject, places: places & subject.end
        if self._take("["):
            return _step(self._parse_class())
        if self._take("."):
            return _step(_is_any)
        return _step(self._take_text() or self._parse_character("*+?{"))

    def _take_text(self) -> str:
        """The letters that follow, but for a last one that is repeated: most of a pattern, gone through in one step."""
        end = self._at
        while self._pattern[end : end + 1].isalnum() or self._pattern.startswith("_", end):
            end += 1
        if end - self._at > 1 and self._pattern[end : end + 1] and self._pattern[end] in "*+?{":
            end -= 1
        text = self._pattern[self._at : end]
        self._at = end
        return text

    def _parse_character(self, refused: str) -> Union[str, Test]:
        """One character, or what a backslash makes of it."""
        character = self._next()
        if character in refused:
            raise self._refuse()
        if character != "\\":
            return character
        character = self._next()
        if character.lower() in _SETS:
            test = _SETS[character.lower()]
            return test if character.islower() else lambda c: not test(c)
        if character.isalnum():
            raise self._refuse()
        return character

    def _parse_class(self) -> Test:
        """What follows a ``[``."""
        inverted, tests = self._take("^"), []
        while not self._take("]"):
            tests.append(self._parse_range())
        if not tests:
            raise self._refuse()
        return lambda c: any(c == test if isinstance(test, str) else test(c) for test in tests) != inverted

    def _parse_range(self) -> Union[str, Test]:
        """One character of a class, or all from one to another."""
        first = self._peek()
        test = self._parse_character("[")
        if not self._pattern.startswith("-", self._at) or self._pattern.startswith("-]", self._at):
            return test
        self._next()
        last = self._next()
        if first == "\\" or last in "\\[" or last < first:
            raise self._refuse()
        return lambda c: first <= c <= last

    def _parse_repetition(self, node: Node) -> Node:
        """The piece as often as what follows it says."""
        if self._take("*"):
            least, most = 0, None
        elif self._take("+"):
            least, most = 1, None
        elif self._take("?"):
            least, most = 0, 1
        elif self._take("{"):
            least, most = self._parse_times()
        else:
            return node
        self._take("?")  # a lazy match is another way to the same places
        if self._peek() and self._peek() in "*+?{":
            raise self._refuse()
        return _repeat(node, least, most)

    def _parse_times(self) -> tuple[int, Optional[int]]:
        """What follows a ``{``."""
        text = ""
        while not self._take("}"):
            text += self._next()
        low, comma, high = text.partition(",")
        numbers = [part for part in (low, high) if part]
        if not numbers or not all(part.isascii() and part.isdecimal() and len(part) < 5 for part in numbers):
            raise self._refuse()
        least, most = int(low or 0), (int(high) if high else None) if comma else int(low)
        if max(least, most or 0) > _MOST_TIMES or (most is not None and most < least):
            raise self._refuse()
        return least, most

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self, text: str) -> bool:
        """Go past this text, if it follows."""
        follows = self._pattern.startswith(text, self._at)
        self._at += len(text) if follows else 0
        return follows

    def _next(self) -> str:
        """Go past one character, which there must be."""
        character = self._peek()
        if not character:
            raise self._refuse()
        self._at += 1
        return character

    def _refuse(self) -> InputError:
        where = f"is not read from {self._pattern[self._at :]!r:.30} on" if self._peek() else "ends too early"
        return InputError(f"the pattern {self._pattern!r:.100} {where}; write out the layers' names in it")


def _step(piece: Union[str, Test]) -> Node:
    length = len(piece) if isinstance(piece, str) else 1
    return lambda subject, places: (places & subject.find_places(piece)) << length


def _repeat(node: Node, least: int, most: Optional[int]) -> Node:
    def match(subject: _Subject, places: int) -> int:
        for _ in range(least):
            subject.count_step()
            places = node(subject, places)
        newest = places
        for _ in range(subject.end.bit_length() if most is None else most - least):
            subject.count_step()
            newest = node(subject, newest) & ~places
            places |= newest
            if not newest:
                break
        return places

    return match


def _is_any(character: str) -> bool:
    return character != "\n"
