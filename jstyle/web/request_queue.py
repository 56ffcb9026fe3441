"""The queue: requests wait in the order in which they came, one thread has the worker make them, anybody looks on."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Optional

from jstyle.errors import InputError
from jstyle.events import Evaluated, Failure, PictureWritten, Planned, Remark, Updated
from jstyle.web.process import WorkerProcess
from jstyle.web.visitors import Visitor

State = Literal["waiting", "running", "stopping", "done", "failed", "stopped"]

_DIED = "the worker died, perhaps for want of memory; the next request gets a new one: ask again"
_KEPT = 200
"""Requests that are remembered after their end."""


@dataclass
class Request:
    """One piece of work that a visitor asked for, and what has come of it so far."""

    number: int
    visitor: Visitor
    work: str
    title: str
    settings: Sequence[Any]
    folder: Path
    state: State = "waiting"
    ahead: int = 0
    """Evaluations and updates that are planned."""

    done: int = 0
    stage: str = ""
    began: float = 0.0
    seconds: float = 0.0
    pictures: list[Path] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    losses: list[tuple[int, float]] = field(default_factory=list)
    preview: str = ""
    error: str = ""
    learnt: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("done", "failed", "stopped")

    @property
    def seconds_left(self) -> Optional[float]:
        """As far as the steps so far say, None before there are any."""
        if self.state != "running" or not self.done or not self.ahead:
            return None
        return max(0.0, (time.monotonic() - self.began) / self.done * (self.ahead - self.done))

    def note(self, told: Mapping[str, Any]) -> None:
        """Take in what the worker tells."""
        event = told.get("event")
        if event == Planned.__name__:
            self.ahead, self.done = told["evaluations"] + told["updates"], 0
            self.began = time.monotonic()  # what came before was loading
        elif event in (Evaluated.__name__, Updated.__name__):
            self.stage, self.done = told["stage"], self.done + told["count"]
            if told.get("loss") is not None:
                self.losses.append((len(self.losses) + 1, told["loss"]))
        elif event == PictureWritten.__name__:
            self.pictures.append(Path(told["path"]))
        elif event == Remark.__name__:
            self.lines.append(self.visitor.shorten(told["text"]))
        elif event == Failure.__name__:
            self.error = self.visitor.shorten(f"{told['subject']}: {told['reason']}")
        self.preview = told.get("preview", self.preview)

    def end(self, told: Mapping[str, Any]) -> None:
        """Take in how it ended."""
        self.learnt, self.preview = told.get("learnt", ""), ""
        self.error = self.visitor.shorten(told.get("error", self.error))
        self.state = "failed" if told["end"] == "done" and self.error else told["end"]
        self.seconds = time.monotonic() - self.began


class RequestQueue:
    """Takes requests, and has them made one after another."""

    def __init__(self, process: WorkerProcess, most_waiting: int) -> None:
        self._process = process
        self._most_waiting = most_waiting
        self._requests: deque[Request] = deque()
        self._count = 0
        self._changed = threading.Condition()
        self._is_open = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def ask(self, visitor: Visitor, work: str, title: str, settings: Sequence[Any], folder: Path) -> Request:
        """Put a request at the end of the queue. Raises InputError where the visitor has too many in it."""
        with self._changed:
            waiting = [one for one in self._requests if one.visitor.token == visitor.token and not one.is_over]
            if len(waiting) >= self._most_waiting:
                raise InputError(f"{len(waiting)} of your requests are in the queue: wait for one, or cancel it")
            self._count += 1
            request = Request(self._count, visitor, work, title, settings, folder)
            self._requests.append(request)
            self._forget_old()
            self._changed.notify_all()
        return request

    def cancel(self, visitor: str, number: int) -> bool:
        """End a visitor's own request; one under way after the step at hand. Whether there was one."""
        with self._changed:
            request = next(
                (one for one in self._requests if (one.visitor.token, one.number) == (visitor, number)), None
            )
            if request is None or request.is_over:
                return False
            if request.state == "waiting":
                request.state = "stopped"
            else:
                request.state = "stopping"
                self._process.stop()
        return True

    def list_of(self, visitor: str) -> list[Request]:
        """A visitor's requests, the last one first."""
        with self._changed:
            return [one for one in reversed(self._requests) if one.visitor.token == visitor]

    def count_ahead(self, request: Request) -> int:
        """How many requests are made before this one."""
        with self._changed:
            return sum(not one.is_over and one.number < request.number for one in self._requests)

    def guess_wait(self, request: Request) -> Optional[float]:
        """Seconds until a waiting request begins, by what such requests took before; None where that isn't known."""
        with self._changed:
            earlier = [one for one in self._requests if not one.is_over and one.number < request.number]
            took = {one.work: one.seconds for one in self._requests if one.state == "done"}
            each = [one.seconds_left if one.state != "waiting" else took.get(one.work) for one in earlier]
        return None if None in each else sum(seconds for seconds in each if seconds is not None)

    def close(self) -> None:
        """Take nothing more, and end what is under way."""
        with self._changed:
            self._is_open = False
            for request in self._requests:
                request.state = "stopped" if request.state == "waiting" else request.state
            self._changed.notify_all()
        self._process.stop()
        self._process.close()

    def _forget_old(self) -> None:
        over = [request for request in self._requests if request.is_over]
        for request in over[: max(0, len(over) - _KEPT)]:
            self._requests.remove(request)

    def _serve(self) -> None:
        while True:
            with self._changed:
                while (request := self._next()) is None and self._is_open:
                    self._changed.wait()
                if request is None:
                    return
                request.state, request.began = "running", time.monotonic()
            self._make(request)

    def _next(self) -> Optional[Request]:
        return next((one for one in self._requests if one.state == "waiting"), None)

    def _make(self, request: Request) -> None:
        end: Mapping[str, Any] = {"end": "failed", "error": _DIED}
        for told in self._process.run(request.work, request.settings):
            with self._changed:
                if "end" in told:
                    end = told
                else:
                    request.note(told)
        with self._changed:
            request.end(end)
