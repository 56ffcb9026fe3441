"""Every message that a user sees is one line that does nothing to the terminal."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from jstyle.adapters.textual_inversion import read
from jstyle.errors import InputError, make_printable
from jstyle.pictures.images import open_image
from jstyle.settings.json_files import read_json
from jstyle.weights.tensors import FileTensors


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("a.png is\n  empty", "a.png is empty"),
        ("", ""),
        ("\n", ""),
        ("  two  spaces é 龍", "  two  spaces é 龍"),
        ("key '\x1b[2J'", r"key '\x1b[2J'"),
        ("\x9b31m\x7f\x00\t", r"\x9b31m\x7f\x00\t"),
        ("turned \u202e round", r"turned \u202e round"),
        ("half \udcff", r"half \udcff"),
    ],
)
def test_a_message_is_one_printable_line(message: str, shown: str) -> None:
    assert str(InputError(message)) == shown == make_printable(shown)
    assert str(pickle.loads(pickle.dumps(InputError(message)))) == shown


def test_no_character_steers_the_terminal() -> None:
    for code in [*range(0x250), *range(0x2000, 0x2070), *range(0xD800, 0xD810), 0xFEFF, 0xE0001]:
        shown = str(InputError(f"a{chr(code)}b"))
        assert shown.isprintable() and len(shown.splitlines()) == 1, hex(code)


def test_messages_show_names_of_arrays_and_of_files(tmp_path: Path) -> None:
    hostile, shown = "a\x1b]0;owned\x07\x1b[2J\u202eb", r"a\x1b]0;owned\x07\x1b[2J\u202eb"
    place = tmp_path / hostile
    with pytest.raises(InputError) as no_picture:
        open_image(place)
    place.write_text("{")
    with pytest.raises(InputError) as no_json:
        read_json(place)
    with pytest.raises(InputError) as no_tensors:
        FileTensors([place])
    entries = {hostile + end: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for end in "ab"}
    text = json.dumps(entries).encode()
    place.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(InputError) as two_words:
        read(place)
    for caught in (no_picture, no_json, no_tensors, two_words):
        message = str(caught.value)
        assert message.isprintable() and r"\x1b[2J" in message, message
    assert str(two_words.value).count(shown) == 3  # the file, and both arrays
