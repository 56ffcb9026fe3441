"""What pictures' files are called: patterns such as "{number:05d}-{seed}-{prompt}"."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import Optional

from jstyle.settings.fields import require

NUMBERED = "{number:05d}-{seed}-{prompt}"
"""By default: counted on in the folder, so that every picture keeps its name."""

_FORMS: Mapping[str, str] = {"number": "0?[0-9]?d?", "seed": "0?[0-9]{0,2}d?", "prompt": ""}
_LONGEST_PROMPT = 40  # characters of it in a name


def require_pattern(pattern: str) -> None:
    """Raise ValueError for a text that is no pattern of file names."""
    advice = "write one such as {number:05d}-{seed}-{prompt}"
    require(bool(pattern) and not pattern.startswith("."), f"name must not be empty or begin with a dot: {advice}")
    require(not set(pattern) & {"/", "\\", "\0"}, f"name {pattern!r} is of a file in the folder, no path: {advice}")
    require(pattern.isprintable(), f"name {pattern!r} has characters that cannot be shown: {advice}")
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError as error:
        raise ValueError(f"name {pattern!r} is no pattern ({error}): {advice}") from None
    for _, field, form, conversion in parts:
        known = field is None or (field in _FORMS and not conversion and re.fullmatch(_FORMS[field], form or ""))
        shown = "{" + str(field) + (f":{form}" if form else "") + "}"
        require(bool(known), f"name {pattern!r} asks for {shown}, and there is {{number}}, {{seed}} and {{prompt}}")


def is_numbered(pattern: str) -> bool:
    """Whether pictures of this pattern are counted."""
    return any(field == "number" for _, field, _, _ in string.Formatter().parse(pattern))


def fill_pattern(pattern: str, *, number: int, seed: int, prompt: str) -> str:
    """The name, without a suffix."""
    return pattern.format(number=number, seed=seed, prompt=shorten(prompt))


def read_number(pattern: str, name: str) -> Optional[int]:
    """The number in a name, without its suffix, that a numbered pattern may have given."""
    expression = ""
    for text, field, _, _ in string.Formatter().parse(pattern):
        expression += re.escape(text)
        expression += "" if field is None else "([0-9]{1,9})" if field == "number" else ".*"
    match = re.fullmatch(expression, name)
    return None if match is None else int(match[1])


def shorten(text: str) -> str:
    """The first words of a text as a part of a file's name."""
    words = re.findall(r"\w+", text.lower())
    return "_".join(words)[:_LONGEST_PROMPT].strip("_") or "picture"
