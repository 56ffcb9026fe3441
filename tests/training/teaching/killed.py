"""Trains in a child process that is killed after some steps, and again until it comes to the end.

python -m tests.training.teaching.killed METHOD DATA OUTPUT
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jstyle.ops.kernels import operator
from jstyle.training import fit
from tests.training.teaching.small import run


def child(whole_run: Callable[[], object], steps: int) -> bool:
    """Train in a forked process that dies right after so many steps. Whether it died."""
    pid = os.fork()
    if pid == 0:
        real = fit.train

        def dying(*arguments: Any) -> Any:
            for done, step in enumerate(real(*arguments), start=1):
                yield step
                if done == steps:
                    os.kill(os.getpid(), signal.SIGKILL)

        fit.train = dying
        whole_run()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def until_it_ends(whole_run: Callable[[], object]) -> None:
    """Kill it before there is any checkpoint, kill it later, then let it come to the end."""
    operator.unavailable()  # loads the kernels, by Jittor's pool of processes, which does not survive a fork
    assert child(whole_run, 1)
    assert child(whole_run, 3)
    assert not child(whole_run, 99)


def main() -> None:
    method, data, output = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    until_it_ends(lambda: run(method, data, output))


if __name__ == "__main__":
    main()
