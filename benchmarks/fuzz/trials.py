"""Readers tried on many inputs: what they read, what they refuse in one line, and what goes wrong."""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, Optional

from jstyle.errors import InputError

LONGEST = 120.0  # seconds that an input may take, on a busy machine that starts Jittor for it too
LONGEST_LINE = 2000  # characters
MEMORY = 1 << 30  # bytes that may be asked for beyond what the process has at its start


@dataclass
class Trials:
    """What came of the inputs so far: ``failures`` are their numbers with what happened."""

    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    failures: list[tuple[int, str]] = field(default_factory=list)


class TookTooLong(BaseException):
    """An input at which a reader hangs."""


def try_inputs(
    draw: Callable[[random.Random], bytes],
    read: Callable[[bytes], None],
    inputs: int,
    seed: int = 0,
    keep: Callable[[int, bytes], object] = lambda number, content: None,
) -> Trials:
    """Read ``inputs`` drawn contents; ``keep`` gets those at which something goes wrong.

    A content's number and the seed decide over it, so each can be drawn again alone.
    """
    trials = Trials()
    with limited_memory():
        for number in range(inputs):
            content = draw(random.Random(f"{seed} {number}"))
            start = time.process_time()
            problem = _try(read, content, trials)
            trials.slowest = max(trials.slowest, time.process_time() - start)
            if problem:
                trials.failures.append((number, problem))
                keep(number, content)
    return trials


def _try(read: Callable[[bytes], None], content: bytes, trials: Trials) -> str:
    """What went wrong, or nothing."""
    try:
        with _alarm():
            read(content)
    except InputError as error:
        trials.refused += 1
        line = str(error)
        return (
            "" if line.isprintable() and 0 < len(line) <= LONGEST_LINE else f"not one line to be read: {line[:200]!r}"
        )
    except (Exception, TookTooLong) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:150]!r} ({Path(last.filename).name}:{last.lineno})"
    trials.read += 1
    return ""


@contextmanager
def _alarm() -> Iterator[None]:
    def stop(number: int, frame: object) -> NoReturn:
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def limited_memory() -> Iterator[None]:
    """Who asks for more than `MEMORY` gets a MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def main(doc: Optional[str], draw: Callable[[random.Random], bytes], read: Callable[[bytes], None]) -> int:
    """A command: tries as many inputs as it is asked to, and says what came of them. Returns 1 after a failure."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for inputs at which something goes wrong")
    options = parser.parse_args()

    def keep(number: int, content: bytes) -> None:
        if options.keep is not None:
            options.keep.mkdir(parents=True, exist_ok=True)
            (options.keep / f"{options.seed}-{number}").write_bytes(content)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    trials = try_inputs(draw, read, options.inputs, options.seed, keep)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    for number, problem in trials.failures[:50]:
        print(f"input {number}: {problem}")
    print(f"{options.inputs} inputs: {trials.read} read, {trials.refused} refused, {len(trials.failures)} failures")
    print(f"slowest {trials.slowest:.2f} s of the processor, memory grew by {grown:.0f} MiB at most")
    return 1 if trials.failures else 0


def fail_lines(lines: list[str], most: int) -> None:
    """Raise ValueError unless there are at most ``most`` lines, and what a terminal shows of each can be read."""
    if len(lines) > most:
        raise ValueError(f"{len(lines)} lines")
    for line in lines:
        if not 0 < len(str(InputError(line))) <= LONGEST_LINE:
            raise ValueError(f"a line of {len(line)} characters")


if __name__ == "__main__":
    sys.exit("this is what the others of this folder share")
