"""Trains each method in a child process that is killed after some steps, and again until it comes to the end.

python -m tests.finetuning.killed METHOD DATA OUTPUT
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from jstyle.ops.kernels import operator
from jstyle.training import fit
from tests.finetuning.small import run


def child(method: str, data: Path, output: Path, steps: int) -> bool:
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
        run(method, data, output)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def main() -> None:
    method, data, output = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    operator.unavailable()  # loads the kernels, by Jittor's pool of processes, which does not survive a fork
    assert child(method, data, output, 1)  # before there is any checkpoint
    assert child(method, data, output, 3)
    assert not child(method, data, output, 99)


if __name__ == "__main__":
    main()
