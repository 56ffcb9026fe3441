"""Trains in a child process that is killed after some steps, and again until it comes to the end.

python -m tests.training.teaching.killed DATA OUTPUT METHOD...
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
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


def prepare() -> None:
    """Once, in the parent, what takes each child long otherwise."""
    operator.unavailable()  # loads the kernels, by Jittor's pool of processes, which does not survive a fork
    import_module("jstyle.diffusion.clip_tokenizer")


def until_it_ends(whole_run: Callable[[], object]) -> None:
    """Kill it before there is any checkpoint, kill it later, then let it come to the end."""
    prepare()
    assert child(whole_run, 1)
    assert child(whole_run, 3)
    assert not child(whole_run, 99)


def main() -> None:
    data, output, *methods = sys.argv[1:]
    for method in methods:
        until_it_ends(partial(run, method, Path(data), Path(output) / method))


if __name__ == "__main__":
    main()
