"""How a process that Jittor compiled in comes to its end."""

from __future__ import annotations

import atexit
import os
import signal
import time
from contextlib import suppress
from multiprocessing.pool import TERMINATE
from pathlib import Path
from typing import Any

PATIENCE = 2.0  # seconds


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


def leave_when_threads_rest() -> None:
    """Have the process wait for its threads before Jittor's own clean-up at exit; to be called once Jittor is imported.

    Jittor starts its compiling threads with the first operator and at the end wakes each of them once to send it home.
    One that has not had its first turn misses that, and Jittor waits for it for ever: of eight short programs on two
    cores, one or two.
    """
    atexit.register(_wait_for_threads)


def _wait_for_threads() -> None:
    """Return once no other thread wants a processor, seen twice, or after `PATIENCE`: one may be at long work."""
    seen, end = 0, time.monotonic() + PATIENCE
    while seen < 2 and time.monotonic() < end:
        seen = 0 if any(map(_wants_a_processor, _other_threads())) else seen + 1
        time.sleep(0.001)


def _other_threads() -> list[Path]:
    """What Linux shows of this process's other threads; nothing elsewhere. Exit handlers run in the main thread."""
    with suppress(OSError):
        return [task for task in Path("/proc/self/task").iterdir() if task.name != str(os.getpid())]
    return []


def _wants_a_processor(task: Path) -> bool:
    """Whether it runs, is about to or waits for a disk; a thread that waits for another is in state S."""
    with suppress(OSError):  # it has just ended
        return (task / "stat").read_text().rpartition(") ")[2][:1] != "S"
    return False
