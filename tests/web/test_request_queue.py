"""The queue: order, places, cancelling, a worker that dies, and what a visitor is told."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from jstyle.errors import InputError
from jstyle.web.process import WorkerProcess
from jstyle.web.request_queue import Request, RequestQueue
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
def queue(worker: Played) -> Iterator[RequestQueue]:
    queue = RequestQueue(worker, most_waiting=3)
    yield queue
    queue.close()


def ask(queue: RequestQueue, name: str, visitor: str = "me") -> Request:
    return queue.ask(Visitor(Path("/web"), visitor), "styleid", "StyleID", [name], Path("/made/0001-styleid"))


def wait(request: Request, *states: str) -> None:
    deadline = time.monotonic() + 120
    while request.state not in states:
        assert time.monotonic() < deadline, f"{request.state}, not {states}"
        time.sleep(0.005)


def finish(worker: Played, *requests: Request) -> None:
    worker.steps.release(4 * len(requests))
    for request in requests:
        wait(request, "done", "failed", "stopped")


def test_requests_are_made_in_the_order_in_which_they_came(worker: Played, queue: RequestQueue) -> None:
    first, second, third = ask(queue, "a"), ask(queue, "b", "you"), ask(queue, "c")
    wait(first, "running")
    assert [queue.count_ahead(one) for one in (first, second, third)] == [0, 1, 2]
    assert "number 3 in the queue" in show_request(queue, third)
    finish(worker, first, second, third)
    assert worker.order == ["a", "b", "c"]
    assert third.pictures == [Path("/made/c.png")]
    assert [one.number for one in queue.list_of("me")] == [3, 1]
    assert queue.list_of("nobody") == []


def test_cancelling(worker: Played, queue: RequestQueue) -> None:
    running, waiting, last = ask(queue, "a"), ask(queue, "b"), ask(queue, "c")
    wait(running, "running")
    assert not queue.cancel("you", running.number), "it is another visitor's"
    assert queue.cancel("me", waiting.number) and waiting.state == "stopped"
    assert queue.cancel("me", running.number)
    wait(running, "stopped")
    finish(worker, last)
    assert worker.order == ["a", "c"] and last.state == "done"
    assert not queue.cancel("me", last.number)


def test_a_worker_that_dies_fails_its_request_alone(worker: Played, queue: RequestQueue) -> None:
    dying, next_one = ask(queue, "dies"), ask(queue, "b")
    worker.steps.release(1)
    wait(dying, "failed")
    assert "the worker died" in dying.error
    finish(worker, next_one)
    assert next_one.state == "done"


def test_one_visitor_does_not_fill_the_queue(worker: Played, queue: RequestQueue) -> None:
    requests = [ask(queue, name) for name in "abc"]
    with pytest.raises(InputError, match="3 of your requests are in the queue"):
        ask(queue, "d")
    ask(queue, "e", "you")
    queue.cancel("me", requests[-1].number)
    ask(queue, "f")


def test_time_left_is_that_of_the_steps_so_far(worker: Played, queue: RequestQueue) -> None:
    request = ask(queue, "a")
    worker.steps.release(1)
    wait(request, "running")
    while request.done < 1:
        time.sleep(0.005)
    request.began = time.monotonic() - 10
    assert request.seconds_left == pytest.approx(30, rel=0.3)
    assert re.search("images, 1 of 4, about 3[0-9] s left", show_request(queue, request))


def test_a_finished_request_tells_how_long_the_next_will_wait(worker: Played, queue: RequestQueue) -> None:
    first = ask(queue, "a")
    finish(worker, first)
    first.seconds = 40.0
    running, waiting, last = ask(queue, "b"), ask(queue, "c"), ask(queue, "d")
    wait(running, "running")
    assert queue.guess_wait(last) is None, "nothing says how long the one under way takes"
    worker.steps.release(1)
    while running.done < 1:
        time.sleep(0.005)
    running.began = time.monotonic() - 10
    assert queue.guess_wait(waiting) == pytest.approx(30, rel=0.3)
    assert queue.guess_wait(last) == pytest.approx(70, rel=0.3)


def test_what_is_shown_is_escaped(worker: Played, queue: RequestQueue) -> None:
    failing = ask(queue, "fails")
    finish(worker, failing)
    shown = show_request(queue, failing)
    assert "&lt;b&gt;no&lt;/b&gt; in a.png" in shown


def test_the_one_under_way_is_shown_first(worker: Played, queue: RequestQueue) -> None:
    assert choose_shown([]) is None
    first, second = ask(queue, "a"), ask(queue, "b")
    wait(first, "running")
    assert choose_shown(queue.list_of("me")) is first
    shown = ["Cancel 1. StyleID: being made", "Cancel 2. StyleID: waiting"]
    assert list_cancellable(queue.list_of("me")) == list(zip((1, 2), shown))
    finish(worker, first, second)
    assert choose_shown(queue.list_of("me")) is second
    assert list_cancellable(queue.list_of("me")) == []
