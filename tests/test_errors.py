"""Every message that a user sees is one line that does nothing to the terminal."""

from __future__ import annotations

import pickle

import pytest

from jstyle.errors import InputError, make_printable


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
