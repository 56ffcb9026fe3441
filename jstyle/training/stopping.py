"""Ctrl-C and SIGTERM as a wish that a training grants between two updates.

A training takes no signals: whoever shows its run, a command or a worker's process, does.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, TypeVar

from jstyle.events import Planned

T = TypeVar("T")


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether Ctrl-C or SIGTERM has come since; a second Ctrl-C interrupts at once.

    Signals come to the main thread alone; in others nothing is asked for.
    """
    asked = []

    def ask(number: int, frame: Any) -> None:
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_between_updates(run: Generator[Any, None, T]) -> Generator[Any, None, T]:
    """The same run, but while it trains Ctrl-C and SIGTERM wait for the update at hand, and then close it.

    A training that is closed writes a checkpoint. Raises KeyboardInterrupt after that.
    """
    with closing(run), ExitStack() as stack:
        asked: Callable[[], bool] = bool
        while True:
            try:
                event = next(run)
            except StopIteration as end:
                return end.value
            if isinstance(event, Planned):
                stack.close()
                asked = stack.enter_context(stop_requests()) if event.updates else bool
            yield event
            if asked():
                raise KeyboardInterrupt
