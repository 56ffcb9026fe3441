"""JSON from files: strict, bounded, and every mistake one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jstyle.errors import InputError
from jstyle.settings.json_files import parse_json, read_json


@pytest.mark.parametrize("value", [{}, [], "é", 0, -7, 1.5, True, None, {"a": [{"b": ["c"]}]}, 10**399])
def test_plain_values_are_read(value: object, tmp_path: Path) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False), "\ufeff" + json.dumps(value, indent=1)):
        (tmp_path / "a.json").write_text(text, encoding="utf-8")
        assert read_json(tmp_path / "a.json") == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.json is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"{'a': 1}", "a.json is not JSON: Expecting property name"),
        (b'{"a": 1} x', "a.json is not JSON: Extra data"),
        (b'"\x1b"', "a.json is not JSON: Invalid control character"),
        (b'"\xff"', "a.json: this is not UTF-8 text"),
        (b'{"b": {"\\u001b": 1, "a": 2, "\\u001b": 3}}', "a.json is not JSON: the key '\\x1b' stands there twice"),
        (b"[Infinity]", "a.json is not JSON: it has no Infinity"),
        (b"[" + b"1" * 401 + b"]", "a.json is not JSON: it holds a number of 401 digits"),
        (b"[" * 101 + b"]" * 101, "a.json: this nests over 100 deep"),
        (b'["\\\\", {"a":' * 50_000, "a.json: this nests over 100 deep"),
    ],
)
def test_what_is_wrong_is_one_line(content: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_json(content, "a.json")
    assert str(caught.value).startswith(message) and str(caught.value).isprintable()


def test_the_deepest_that_is_read() -> None:
    assert parse_json(b"[" * 100 + b"]" * 100, "a.json")
    brackets = "[" * 200 + '\\"' + "{" * 200 + "\\\\"
    assert parse_json(json.dumps({brackets: [brackets]}).encode(), "a.json") == {brackets: [brackets]}


def test_what_is_no_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b" " * 11)
    for path, message in (
        (tmp_path, "this is not a file"),
        (tmp_path / "no", "No such file or directory"),
        (tmp_path / ("n" * 300), "File name too long"),
        (tmp_path / "large", "this is larger than"),
    ):
        with pytest.raises(InputError, match=message):
            read_json(path, largest=10)
