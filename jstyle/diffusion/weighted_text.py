"""The texts of a prompt, and their weights, as A1111's web UI reads them (`modules/prompt_parser.py`).

    a (red) boat on [quiet] water, (((sails:1.4)) and a \\(small\\) flag

(text) weighs 1.1 times as much, [text] 1 / 1.1 times, (text:1.4) 1.4 times; brackets within brackets multiply, what is
not closed reaches to the end, and a backslash makes the next character a plain one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from jstyle.errors import InputError
from jstyle.settings.messages import show
from jstyle.settings.prompts import PromptSettings

PLAIN = PromptSettings()
STRONGER = 1.1
_MOST_OPEN, _LARGEST = 100, 1000
_TOKEN = re.compile(r"\\[()\[\]\\]|\\|[(\[\])]|:\s*[+-]?[.\d]+\s*\)|[^\\()\[\]:]+|:")
_SQUARE = re.compile(r"(?<!\\)\[([^\[\]]*)\]")
_NUMBER = re.compile(r"\s*[.\d]+\s*")
_BREAK = re.compile(r"\bBREAK\b")
_TAG = re.compile(r"<(?:lora|lyco|hypernet):[^<>]*>")
_COMPOSED = re.compile(r"\bAND\b")


@dataclass
class Piece:
    """A part of a text, and how much it weighs."""

    text: str
    weight: float = 1.0


def read_pieces(prompt: str, reading: PromptSettings) -> list[list[Piece]]:
    """The texts that a prompt is made of, with their weights, in the parts that BREAK parts it into.

    Raises InputError for weights that cannot be read.
    """
    pieces = read_weights(prompt) if reading.prompt_weights == "a1111" else [Piece(prompt)]
    if reading.long_prompts == "cut":
        return [pieces]
    parts: list[list[Piece]] = [[]]
    for piece in pieces:
        first, *others = _BREAK.split(piece.text)
        parts[-1].append(Piece(first, piece.weight))
        parts += [[Piece(other, piece.weight)] for other in others]
    return parts


def read_text(prompt: str, reading: PromptSettings) -> str:
    """The words of a prompt alone. Raises InputError as `read_pieces`."""
    return " ".join("".join(piece.text for piece in part) for part in read_pieces(prompt, reading))


def read_weights(text: str) -> list[Piece]:
    """The text without its brackets, in pieces; neighbours of one weight are one piece.

    Raises InputError, one line, for a weight that is no number, brackets that nest too deeply, and for what the web UI
    reads in prompts but weights.
    """
    _refuse_more(text)
    pieces: list[Piece] = []
    opened: list[tuple[str, int]] = []
    for token in _TOKEN.findall(text):
        if token in "([":
            opened.append((token, len(pieces)))
            if len(opened) > _MOST_OPEN:
                raise InputError(f"a prompt's brackets nest over {_MOST_OPEN} deep")
        elif not _close(token, opened, pieces):
            pieces.append(Piece(token[1:] if token.startswith("\\") else token))
    for bracket in "([":
        for opening, start in opened:
            if opening == bracket:
                _multiply(pieces, start, _weight_of(bracket))
    return list(_join(pieces)) or [Piece("")]


def _refuse_more(text: str) -> None:
    """Raise InputError for what the web UI reads in prompts beside weights, and what to do without it."""
    found, advice = _TAG.search(text), "name what is put on the model by its file, with --lora"
    if not found:
        found, advice = _COMPOSED.search(text), "prompts are not composed; write it in small letters for the word"
    if not found:
        edited = (match for match in _SQUARE.finditer(text) if _changes_with_steps(match[1]))
        found, advice = next(edited, None), "prompts do not change from step to step"
    if found:
        raise InputError(f"{show(found[0])} in a prompt is not read with prompt_weights a1111: {advice}")


def _changes_with_steps(text: str) -> bool:
    """Whether square brackets hold [from:to:when] or [one|other]."""
    *before, when = text.split(":")
    return "|" in text or (bool(before) and _NUMBER.fullmatch(when) is not None)


def _close(token: str, opened: list[tuple[str, int]], pieces: list[Piece]) -> bool:
    """Weigh what a bracket closes; False where it closes nothing, and so is text."""
    if (token != "]" and not token.endswith(")")) or token.startswith("\\"):
        return False
    bracket = "[" if token == "]" else "("
    index = next((i for i in reversed(range(len(opened))) if opened[i][0] == bracket), None)
    if index is None:
        return False
    weight = _weight_of(bracket) if len(token) == 1 else _read_number(token[1:-1])
    _multiply(pieces, opened.pop(index)[1], weight)
    return True


def _weight_of(bracket: str) -> float:
    return STRONGER if bracket == "(" else 1 / STRONGER


def _read_number(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        raise InputError(f"a weight in a prompt must be a number, not {show(text)}") from None
    if abs(weight) > _LARGEST:
        raise InputError(f"a weight in a prompt must be from -{_LARGEST} to {_LARGEST}, not {show(text)}")
    return weight


def _multiply(pieces: list[Piece], start: int, weight: float) -> None:
    for piece in pieces[start:]:
        piece.weight *= weight


def _join(pieces: list[Piece]) -> Iterator[Piece]:
    before = None
    for piece in pieces:
        if before is not None and before.weight == piece.weight:
            before.text += piece.text
            continue
        if before is not None:
            yield before
        before = piece
    if before is not None:
        yield before
