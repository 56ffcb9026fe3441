"""How a command ends: every failure that is expected is one line and a code, a defect keeps its traceback."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from jstyle.errors import InputError, make_printable
from jstyle.runtime.start_error import StartError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def exit_with(main: Callable[[], int]) -> NoReturn:
    """Call ``main`` and leave the process with its exit code; what a user can mend becomes one line on stderr.

    Wrong input exits with 2, an engine that cannot start and a full disk with 1, Ctrl-C with 130, and a reader that
    closed our output (`| head`) silently with 141. What a terminal's encoding lacks is written as \\xe9 is.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as Python has stderr
    try:
        code = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        _fail(130, "interrupted; the same command goes on from what is finished")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its exit
        sys.exit(141)
    except InputError as error:
        _fail(2, str(error))
    except StartError as error:
        _fail(1, str(error))
    except PermissionError as error:
        _fail(2, f"there is no permission for {error.filename!r}: allow it, or name another place")
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        _fail(1, f"{error.strerror} ({error.filename or 'while writing'}): free some space")
    sys.exit(code)


def _fail(code: int, message: str) -> NoReturn:
    print("error:", make_printable(message), file=sys.stderr)
    sys.exit(code)
