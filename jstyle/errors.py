"""The one kind of error that a user can mend."""

from __future__ import annotations


class InputError(ValueError):
    """Something that the user gave is wrong.

    The message is one line that says what is wrong and what to do about it. The scripts print it
    without a traceback and exit with code 2.
    """
