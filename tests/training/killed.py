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

LONG = replace(SETTINGS, steps=60, warmup=5, checkpoint_every=3)


def child(output: Path, steps: int, seconds: float = 0.0) -> bool:
    """Train in a forked process, killed some seconds after so many steps. Whether it was."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        run(output, LONG, after=lambda: os.write(writer, b"."))
        os._exit(0)
    os.close(writer)
    seen = sum(1 for _ in range(steps) if os.read(reader, 1))
    os.close(reader)
    if seen == steps:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def main() -> None:
    output, kills = Path(sys.argv[1]), int(sys.argv[2])
    operator.unavailable()  # loads the kernels, by Jittor's pool of processes, which does not survive a fork
    assert not child(output / "whole", LONG.steps + 1)
    rng = random.Random(5)
    killed = sum(child(output / "killed", rng.randint(1, 7), rng.uniform(0, 0.02)) for _ in range(kills))
    assert not child(output / "killed", LONG.steps + 1)
    print(killed)


if __name__ == "__main__":
    main()
