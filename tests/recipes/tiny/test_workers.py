"""Drawing processes do not outlive a recipe that was killed."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress

_PROGRAM = """
import os, time
from recipes.tiny.workers import open_pool
if __name__ == "__main__":
    pool = open_pool(2)
    print(*{pool.submit(os.getpid).result() for _ in range(8)}, flush=True)
    time.sleep(600)
"""


def test_workers_end_with_a_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers = [int(word) for word in parent.stdout.readline().split()]
    assert workers
    parent.kill()
    parent.wait()
    until = time.monotonic() + 60
    while any(map(is_running, workers)) and time.monotonic() < until:
        time.sleep(0.2)
    assert not any(map(is_running, workers))


def is_running(pid: int) -> bool:
    """Whether the process is there and no zombie, which nothing may reap in a container."""
    with suppress(OSError), open(f"/proc/{pid}/stat") as stream:
        return stream.read().rpartition(")")[2].split()[0] != "Z"
    return False
