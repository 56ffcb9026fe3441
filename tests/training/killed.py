"""Trains in child processes that are killed at random moments, until one comes to the end.

    python -m tests.training.killed FOLDER KILLS

Jittor is started once and computes nothing here: the children, forked, begin in milliseconds.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from jstyle.ops.kernels import operator
from tests.training.regression import SETTINGS, run

LONG = replace(SETTINGS, steps=120, warmup=5, checkpoint_every=3)


def whole(output: Path) -> None:
    """Train to the end in a forked process."""
    pid = os.fork()
    if pid == 0:
        run(output, LONG)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def killed(output: Path, steps: int, seconds: float) -> None:
    """Train in a forked process that is killed some seconds after so many steps, at most two steps further on."""
    (reader, writer), (granted, grant) = os.pipe(), os.pipe()
    os.write(grant, b"." * (steps + 2))
    pid = os.fork()
    if pid == 0:
        run(output, LONG, after=lambda: (os.write(writer, b"."), os.read(granted, 1)))
        os._exit(0)
    os.close(writer)  # so that a child that fails is not waited for
    for _ in range(steps):
        os.read(reader, 1)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    for end in (reader, granted, grant):
        os.close(end)


def main() -> None:
    output, kills = Path(sys.argv[1]), int(sys.argv[2])
    operator.unavailable()  # loads the kernels, by Jittor's pool of processes, which does not survive a fork
    whole(output / "whole")
    rng = random.Random(5)
    for _ in range(kills):
        killed(output / "killed", rng.randint(1, 7), rng.uniform(0, 0.02))
    whole(output / "killed")


if __name__ == "__main__":
    main()
