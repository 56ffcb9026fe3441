"""The error of a machine on which Jittor cannot start."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Optional


class StartError(ImportError):
    """Something the start needs is missing; the message is one line that says what and how to mend it.

    Uncaught, it is shown as that one line, without a traceback.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        show_start_errors_in_one_line()


def show_start_errors_in_one_line() -> None:
    """Wrap `sys.excepthook` once; every other exception goes to the hook that was there."""
    previous = sys.excepthook
    if getattr(previous, "shows_start_errors", False):
        return

    def hook(kind: type[BaseException], error: BaseException, trace: Optional[TracebackType]) -> None:
        if isinstance(error, StartError):
            print(f"jstyle: {error}", file=sys.stderr)
        else:
            previous(kind, error, trace)

    hook.shows_start_errors = True  # type: ignore[attr-defined]
    sys.excepthook = hook
