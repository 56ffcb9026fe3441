"""How a process that Jittor compiled in comes to its end."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from multiprocessing.pool import TERMINATE
from typing import Any


def leave_without_waiting(utils: Any) -> None:
    """Have Jittor's compiling processes killed at the end rather than asked to go.

    They are asked through a queue. A signal to the whole process group (a batch system's SIGTERM) may have ended one
    of them while it held the queue's lock; then the process would wait for that lock for ever, its work done.
    """

    def end_compilers() -> None:
        pool = vars(utils).pop("p", None)
        if pool is None:
            return
        pool._terminate.cancel()  # multiprocessing's own clean-up at exit
        pool._state = pool._worker_handler._state = TERMINATE  # or the killed ones would be replaced
        pool._change_notifier.put(None)
        pool._worker_handler.join(timeout=5)
        for worker in pool._pool:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)

    utils.pool_cleanup = end_compilers  # Jittor registers it by this name when it first compiles
