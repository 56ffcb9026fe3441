"""The queue: order, places, cancelling, a worker that dies, and what a visitor is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from jstyle.errors import InputError
from jstyle.web.desk import Desk, Request
from jstyle.web.process import WorkerProcess
from jstyle.web.showing import choose_shown, list_cancellable, show_request
from jstyle.web.visitors import Visitor


class Played(WorkerProcess):
    """A worker that takes a step whenever the test lets it."""

    def __init__(self) -> None:
        self.steps = threading.Semaphore(0)
        self.stopped = threading.Event()
        self.order: list[str] = []

    def run(self, work: str, settings: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
        self.stopped.clear()
        self.order.append(settings[0])
        yield {"event": "Planned", "pictures": 1, "finished": 0, "evaluations": 4, "updates": 0}
        for _ in range(4):
            self.steps.acquire()
            if settings[0] == "dies":
                return
            if self.stopped.is_set():
                yield {"end": "stopped"}
                return
            yield {"event": "Evaluated", "stage": "images", "count": 1}
        if settings[0] == "fails":
            yield {"end": "failed", "error": "<b>no</b> in /web/me/made/a.png"}
            return
        yield {"event": "PictureWritten", "path": f"/made/{settings[0]}.png"}
        yield {"end": "done"}

    def stop(self) -> None:
        self.stopped.set()
        self.steps.release()

    def close(self) -> None:
        self.stop()


@pytest.fixture
def worker() -> Played:
    return Played()


@pytest.fixture
def desk(worker: Played) -> Iterator[Desk]:
    desk = Desk(worker, most_waiting=3)
    yield desk
    desk.close()


def ask(desk: Desk, name: str, visitor: str = "me") -> Request:
    return desk.ask(Visitor(Path("/web"), visitor), "styleid", "StyleID", [name], Path("/made/0001-styleid"))


def wait(request: Request, *states: str) -> None:
    deadline = time.monotonic() + 20
    while request.state not in states:
        assert time.monotonic() < deadline, f"{request.state}, not {states}"
        time.sleep(0.005)


def finish(worker: Played, *requests: Request) -> None:
    worker.steps.release(4 * len(requests))
    for request in requests:
        wait(request, "done", "failed", "stopped")


def test_requests_are_made_in_the_order_in_which_they_came(worker: Played, desk: Desk) -> None:
    first, second, third = ask(desk, "a"), ask(desk, "b", "you"), ask(desk, "c")
    wait(first, "running")
    assert [desk.count_ahead(one) for one in (first, second, third)] == [0, 1, 2]
    assert "number 3 in the queue" in show_request(desk, third)
    finish(worker, first, second, third)
    assert worker.order == ["a", "b", "c"]
    assert third.pictures == [Path("/made/c.png")]
    assert [one.number for one in desk.list_of("me")] == [3, 1]
    assert desk.list_of("nobody") == []


def test_cancelling(worker: Played, desk: Desk) -> None:
    running, waiting, last = ask(desk, "a"), ask(desk, "b"), ask(desk, "c")
    wait(running, "running")
    assert not desk.cancel("you", running.number), "it is another visitor's"
    assert desk.cancel("me", waiting.number) and waiting.state == "stopped"
    assert desk.cancel("me", running.number)
    wait(running, "stopped")
    finish(worker, last)
    assert worker.order == ["a", "c"] and last.state == "done"
    assert not desk.cancel("me", last.number)


def test_a_worker_that_dies_fails_its_request_alone(worker: Played, desk: Desk) -> None:
    dying, next_one = ask(desk, "dies"), ask(desk, "b")
    worker.steps.release(1)
    wait(dying, "failed")
    assert "the worker died" in dying.error
    finish(worker, next_one)
    assert next_one.state == "done"


def test_one_visitor_does_not_fill_the_queue(worker: Played, desk: Desk) -> None:
    requests = [ask(desk, name) for name in "abc"]
    with pytest.raises(InputError, match="3 of your requests are in the queue"):
        ask(desk, "d")
    ask(desk, "e", "you")
    desk.cancel("me", requests[-1].number)
    ask(desk, "f")


def test_time_left_is_that_of_the_steps_so_far(worker: Played, desk: Desk) -> None:
    request = ask(desk, "a")
    worker.steps.release(1)
    wait(request, "running")
    while request.done < 1:
        time.sleep(0.005)
    request.began = time.monotonic() - 10
    assert request.seconds_left == pytest.approx(30, rel=0.05)
    assert "images, 1 of 4, about 30 s left" in show_request(desk, request)


def test_a_finished_request_tells_how_long_the_next_will_wait(worker: Played, desk: Desk) -> None:
    first = ask(desk, "a")
    finish(worker, first)
    first.seconds = 40.0
    running, waiting, last = ask(desk, "b"), ask(desk, "c"), ask(desk, "d")
    wait(running, "running")
    assert desk.guess_wait(last) is None, "nothing says how long the one under way takes"
    worker.steps.release(1)
    while running.done < 1:
        time.sleep(0.005)
    running.began = time.monotonic() - 10
    assert desk.guess_wait(waiting) == pytest.approx(30, rel=0.05)
    assert desk.guess_wait(last) == pytest.approx(70, rel=0.05)


def test_what_is_shown_is_escaped(worker: Played, desk: Desk) -> None:
    failing = ask(desk, "fails")
    finish(worker, failing)
    shown = show_request(desk, failing)
    assert "&lt;b&gt;no&lt;/b&gt; in a.png" in shown


def test_the_one_under_way_is_shown_first(worker: Played, desk: Desk) -> None:
    assert choose_shown([]) is None
    first, second = ask(desk, "a"), ask(desk, "b")
    wait(first, "running")
    assert choose_shown(desk.list_of("me")) is first
    shown = ["Cancel 1. StyleID: being made", "Cancel 2. StyleID: waiting"]
    assert list_cancellable(desk.list_of("me")) == list(zip((1, 2), shown))
    finish(worker, first, second)
    assert choose_shown(desk.list_of("me")) is second
    assert list_cancellable(desk.list_of("me")) == []
