"""The one kind of error that a user can mend, and what they should know of what they gave."""

from __future__ import annotations


class InputError(ValueError):
    """Something that the user gave is wrong.

    The message is one line that says what is wrong and what to do about it. The scripts print it
    without a traceback and exit with code 2.
    """


class InputWarning(UserWarning):
    """Something that the user gave has less effect than they may think.

    The message is one line. From Python it is an ordinary warning; commands show it as a remark, once.
    """
