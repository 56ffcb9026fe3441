"""Signals while a run is shown: a training is closed between two updates, other work is interrupted at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator, Iterator

import pytest

from jstyle.events import Event, Planned, Updated, exhaust
from jstyle.training.stopping import stop_between_updates


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Python's own handler, which a process that was started in the background with `&` lacks."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def make_run(plan: Planned, number: int, seen: list[str]) -> Generator[Event, None, str]:
    """A run that a signal reaches in its second update."""
    try:
        yield plan
        for step in range(3):
            if step == 1:
                os.kill(os.getpid(), number)
                signal.sigtimedwait([], 0.01)  # lets Python's handler run
            seen.append(f"update {step}")
            yield Updated("learning", 1)
        return "the result"
    except GeneratorExit:
        seen.append("closed")
        raise


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_a_training_after_the_update_at_hand(number: int) -> None:
    before, seen = signal.getsignal(number), []
    with pytest.raises(KeyboardInterrupt):
        exhaust(stop_between_updates(make_run(Planned(updates=3), number, seen)))
    assert seen == ["update 0", "update 1", "closed"] and signal.getsignal(number) == before


def test_other_work_is_interrupted_at_once() -> None:
    seen: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        exhaust(stop_between_updates(make_run(Planned(evaluations=3), signal.SIGINT, seen)))
    assert seen == ["update 0"]


def test_a_training_is_over_with_the_next_plan() -> None:
    handlers = []

    def run() -> Generator[Event, None, str]:
        for plan in (Planned(updates=1), Planned(evaluations=1)):
            yield plan
            handlers.append(signal.getsignal(signal.SIGINT))
        return "the result"

    before = signal.getsignal(signal.SIGINT)
    assert exhaust(stop_between_updates(run())) == "the result"
    assert handlers[0] != before and handlers[1] == before


def test_in_a_thread_no_signal_is_taken() -> None:
    results = []

    def run() -> Generator[Event, None, str]:
        yield Planned(updates=1)
        yield Updated("learning", 1, 0.5)
        return "the result"

    thread = threading.Thread(target=lambda: results.append(exhaust(stop_between_updates(run()))))
    thread.start()
    thread.join()
    assert results == ["the result"]
