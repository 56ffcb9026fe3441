"""Texts of files as people and accidents spoil them: from good ones and from nothing, by a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import yaml

NUMBERS = ["0", "-1", "1", "07", "0x_", "1_000", "2.5", ".5", "1e400", "-1e400", ".nan", "-.inf", "1e-4", "12:30"]
NUMBERS += [str(2**63), str(2**64), str(10**12), "9" * 500, "9" * 5000, "0b_", "0x" + "f" * 500, "1" + "_" * 300]
WORDS = [
    "null",
    "~",
    "true",
    "no",
    "",
    "''",
    '""',
    "[]",
    "{}",
    "tiny",
    "first",
    "2020-01-01",
    "!!python/name:os",
    "!x y",
]
WORDS += ["&a [*a]", "&a x", "*a", "<<: *a", "<<: {a: 1}", "? [a, b]", "|", ">", "- x", "a: b: c", "{0}"]
WORDS += [
    "{prompt}",
    "{style!r}",
    "{prompt.__class__}",
    "{",
    "}",
    "%s",
    "../..",
    "/",
    "\\",
    "nul",
    "x" * 300,
    "é龍🐉",
    "\u202e",
]
ESCAPES = ['"\\ud800"', '"\\0"', '"\\x1b[2J"', '"\\u202e"', "\x1b[31m", "\x00", "\x85", "\ufeff", "\t", "\r", "\n"]
BYTES = [b"\xff", b"\xfe\xff", b"\xc3", b"\xed\xa0\x80", b"\x00" * 8]
NESTS = [
    "[" * 150,
    "{a: " * 150,
    "[" * 40 + "]" * 40,
    "[{" * 120,
    '{"a":' * 2000,
    "(" * 50,
    '"' * 99,
    "- " * 200,
    "? " * 99,
]
PIECES = [piece.encode("utf-8", "surrogatepass") for piece in (*NUMBERS, *WORDS, *ESCAPES, *NESTS)] + BYTES
VALUES: list[Any] = [None, True, False, 0, 1, -1, 7, 2**63, 2**64, 10**12, 10**300, 0.5, -0.5, 1e308, float("inf")]
LARGEST = 2 << 20  # bytes: more than any reader takes
VALUES += [float("nan"), "", " ", "x", "first", "{prompt}", "{style}", "{x}", "a" * 300, "é", "\x1b[2J", "\0", "\ud800"]


def spoil_text(chance: random.Random, samples: Sequence[bytes]) -> bytes:
    """One of the samples after one to four accidents."""
    text = chance.choice(samples)
    for _ in range(chance.randint(1, 4)):
        text = _spoil_once(chance, text, samples)[:LARGEST]
    return text


def _spoil_once(chance: random.Random, text: bytes, samples: Sequence[bytes]) -> bytes:
    start, end = sorted(chance.randint(0, len(text)) for _ in range(2))
    end = min(end, start + chance.choice((1, 4, 40)))
    lines = text.splitlines(keepends=True) or [b""]
    row = chance.randrange(len(lines))
    way = chance.randrange(8)
    if way == 0:
        return text[:start] + text[end:]
    if way == 1:
        return text[:end] + text[start:end] * chance.choice((1, 2, 50)) + text[end:]
    if way == 2:
        return text[:start] + chance.choice(PIECES) + text[end:]
    if way == 3:
        return text[:start] + chance.choice(PIECES) + text[start:]
    if way == 4:
        times = min(chance.choice((1, 2, 300)), LARGEST // (1 + len(lines[row])))
        return b"".join([*lines[:row], lines[row] * times, *lines[row:]])
    if way == 5:
        return b"".join(chance.sample(lines, len(lines)))
    if way == 6:
        return text[:start] + chance.choice(samples)[start:]
    return text[:start] + bytes(chance.randrange(256) for _ in range(chance.randint(1, 4))) + text[end:]


def draw_mapping(chance: random.Random, names: Sequence[str], depth: int = 0) -> dict[Any, Any]:
    """Settings of those names, with values of every kind."""
    keys = [
        chance.choice(names) if chance.random() < 0.9 else chance.choice(VALUES) for _ in range(chance.randint(0, 5))
    ]
    return {key: draw_value(chance, names, depth + 1) for key in keys}


def draw_value(chance: random.Random, names: Sequence[str], depth: int = 0) -> Any:
    """A value of any kind, mappings and lists of others too."""
    kind = chance.random()
    if depth < 4 and kind < 0.3:
        return draw_mapping(chance, names, depth)
    if depth < 4 and kind < 0.4:
        return [draw_value(chance, names, depth + 1) for _ in range(chance.randint(0, 3))]
    return chance.choice(VALUES) if kind < 0.9 else chance.choice(names)


def write_as_json(value: Any) -> bytes:
    """The value as Python's JSON has it, NaN and half characters included."""
    return json.dumps(value, ensure_ascii=True, skipkeys=True).encode()


def write_as_yaml(value: Any) -> bytes:
    """The value as YAML."""
    return yaml.safe_dump(value, allow_unicode=False).encode()
