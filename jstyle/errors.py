"""The one kind of error that a user can mend, what they should know of what they gave, and text that prints."""

from __future__ import annotations


class InputError(ValueError):
    """Something that the user gave is wrong.

    The message is one line that says what is wrong and what to do about it. The scripts print it
    without a traceback and exit with code 2. Whatever names from files it quotes, it is printable.
    """

    def __init__(self, message: str) -> None:
        super().__init__(make_printable(message))


class RefusedName(InputError, AttributeError):
    """A name of diffusers' that is not here. ``hasattr`` answers no to it."""


class InputWarning(UserWarning):
    """Something that the user gave has less effect than they may think.

    The message is one line. From Python it is an ordinary warning; commands show it as a remark, once.
    """


def make_printable(text: str) -> str:
    """The text as one line for a terminal: line ends become spaces, what else does not print is written as \\x1b is."""
    first, *others = text.splitlines() or [""]
    line = " ".join([first, *(other.strip() for other in others)])
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)
