"""What a visitor sees of the queue: a few lines of HTML, every text in it escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Optional

from jstyle.web.request_queue import Request, RequestQueue

_WORDS = {
    "waiting": "waiting",
    "running": "being made",
    "stopping": "ends after this step",
    "done": "done",
    "failed": "failed",
    "stopped": "cancelled",
}
_LINES = {False: 3, True: 40}
"""Of what a run said last, while it goes on and when it is over."""


def show_request(queue: RequestQueue, request: Optional[Request]) -> str:
    """The request that matters most to its visitor, with how far it is."""
    if request is None:
        return '<div class="jstyle-status" role="status">Nothing was asked for yet.</div>'
    parts = [f"<strong>{escape(request.title)}</strong>: {_describe_state(queue, request)}"]
    if request.state in ("running", "stopping") and request.ahead:
        share = min(1.0, request.done / request.ahead)
        parts.append(f'<progress value="{share:.3f}" max="1" aria-label="progress">{share:.0%}</progress>')
        parts.append(escape(_describe_progress(request)))
    if request.preview:
        source = f"data:image/png;base64,{escape(request.preview, quote=True)}"
        parts.append(f'<img class="jstyle-preview" alt="preview of what is being made" src="{source}">')
    parts += [escape(line) for line in request.lines[-_LINES[request.is_over] :]]
    if request.error:
        parts.append(f'<span class="jstyle-error">{escape(request.error)}</span>')
    return f'<div class="jstyle-status" role="status">{"<br>".join(parts)}</div>'


def _describe_state(queue: RequestQueue, request: Request) -> str:
    if request.state != "waiting":
        return _WORDS[request.state]
    ahead, wait = queue.count_ahead(request), queue.guess_wait(request)
    place = f"number {ahead + 1} in the queue"
    return place if wait is None else f"{place}, begins in about {_describe_seconds(wait)}"


def _describe_progress(request: Request) -> str:
    steps = f"{request.stage or 'getting ready'}, {request.done} of {request.ahead}"
    left = request.seconds_left
    return steps if left is None else f"{steps}, about {_describe_seconds(left)} left"


def _describe_seconds(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def choose_shown(requests: Sequence[Request]) -> Optional[Request]:
    """The one under way, else the next in the queue, else the last one."""
    for states in (("running", "stopping"), ("waiting",)):
        found = [request for request in requests if request.state in states]
        if found:
            return found[-1]
    return requests[0] if requests else None


def list_cancellable(requests: Sequence[Request]) -> list[tuple[int, str]]:
    """(number, words) of the requests that can be cancelled, the next one first."""
    under_way = [request for request in reversed(requests) if not request.is_over]
    return [(one.number, f"Cancel {one.number}. {one.title}: {_WORDS[one.state]}") for one in under_way]


def list_learnt(requests: Sequence[Request]) -> str:
    """What was taught, by the names under which forms offer it."""
    names = [name_learnt(request) for request in requests if request.learnt]
    return f"Learnt, to be chosen by these names: {escape(', '.join(names))}" if names else ""


def name_learnt(request: Request) -> str:
    """The name of what a request has taught."""
    return request.folder.name


def caption(path: Path) -> str:
    """A picture's name in the gallery, with its request's."""
    return f"{path.parent.name}: {path.name}"


def describe_losses(request: Optional[Request]) -> list[dict[str, Any]]:
    """Points of the loss curve, at most some hundreds."""
    losses = [] if request is None else request.losses
    every = max(1, len(losses) // 300)
    return [{"update": update, "loss": loss} for update, loss in losses[::every]]
