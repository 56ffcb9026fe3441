"""The process that makes what visitors ask for: it holds the model, and tells what happens in lines of JSON.

In: {"work": name, "settings": [plain settings of each kind]}, or {"stop": true} for the one under way. Out: an object a
line: an event by its class's name, a preview, and last {"end": "done" | "stopped" | "failed"}.
"""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Generator, Iterator, Mapping
from queue import Queue
from typing import TYPE_CHECKING, Any, Optional

from jstyle.errors import InputError
from jstyle.events import Event, Planned, closing, tell_warnings
from jstyle.jobs.server import end_with_parent
from jstyle.runtime.start_error import StartError
from jstyle.settings.reader import build, plain
from jstyle.web.works import GRID, list_works

if TYPE_CHECKING:
    from jstyle.diffusion.aims import Aim
    from jstyle.pipelines.opening import Keeper
    from jstyle.pipelines.previews import LatentColours

_PREVIEW_EVERY = 0.7  # seconds


class Worker:
    """Runs one request after another; `stopping` is set by who wants the one under way to end."""

    def __init__(self, previews: Previews) -> None:
        self.stopping = threading.Event()
        self._works = {**list_works(), GRID.name: GRID}
        self._previews = previews

    def run(self, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """What is to be told of a request, its end last."""
        from jstyle.runtime import jt

        learnt: list[Any] = []
        try:
            work = self._works[request["work"]]
            settings = [build(kind, values) for kind, values in zip(work.kinds, request["settings"])]
            with closing(tell_warnings(_keep_result(work.start(*settings), learnt))) as events:
                for event in events:
                    yield from self._tell(event)
                    if self.stopping.is_set():
                        yield {"end": "stopped"}
                        return
            yield {"end": "done", **({"learnt": str(learnt[0])} if learnt and work.serves else {})}
        except (InputError, StartError) as error:
            yield {"end": "failed", "error": str(error)}
        except Exception as error:  # the next request must not suffer from a fault of ours
            traceback.print_exc(file=sys.stderr)
            yield {"end": "failed", "error": " ".join(f"{type(error).__name__}: {error}".split())}
        finally:
            self._previews.forget()
            jt.gc()

    def _tell(self, event: Event) -> Iterator[dict[str, Any]]:
        yield {"event": type(event).__name__, **plain(event)}
        if isinstance(event, Planned):  # what was counted aims at nothing
            self._previews.forget()
        picture = self._previews.draw()
        if picture is not None:
            yield {"preview": picture}


class Previews:
    """What the step that was taken last aims at, as a small PNG in base64, now and then."""

    def __init__(self, kept: Keeper, aim: Aim) -> None:
        self._kept = kept
        self._aim = aim
        self._colours: Optional[LatentColours] = None
        self._model: Any = None
        self._last = 0.0

    def forget(self) -> None:
        """Nothing was aimed at yet."""
        self._aim.latents = None

    def draw(self) -> Optional[str]:
        """The picture, or None where there is nothing new, or the last one was shown just now."""
        latents, pipe, now = self._aim.latents, self._kept.pipe, time.monotonic()
        if latents is None or pipe is None or now - self._last < _PREVIEW_EVERY:
            return None
        from jstyle.pipelines.previews import LatentColours

        self.forget()
        if self._model is not pipe:
            self._model, self._colours = pipe, LatentColours(pipe)
        assert self._colours is not None
        file = io.BytesIO()
        self._colours.draw(latents[:1].numpy()[0]).save(file, "PNG")
        self._last = time.monotonic()
        return base64.b64encode(file.getvalue()).decode("ascii")


def _keep_result(run: Generator[Event, None, Any], kept: list[Any]) -> Generator[Event, None, None]:
    """The run, whose result is put into ``kept``."""
    result = yield from run
    if result is not None:
        kept.append(result)


def main() -> None:
    """Answer requests on stdin until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the page, which ends this process
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # Jittor prints on stdout
    end_with_parent(json.loads(sys.stdin.readline())["parent"])
    requests: Queue[Optional[dict[str, Any]]] = Queue()

    from jstyle.diffusion.aims import watched_aim  # brings Jittor up, before anybody waits for it
    from jstyle.pipelines.opening import kept_loaded

    with kept_loaded() as kept, watched_aim() as aim:
        worker = Worker(Previews(kept, aim))
        threading.Thread(target=_read, args=(requests, worker.stopping), daemon=True).start()
        for request in iter(requests.get, None):
            worker.stopping.clear()
            for line in worker.run(request):
                print(json.dumps(line), file=told, flush=True)


def _read(requests: Queue[Optional[dict[str, Any]]], stopping: threading.Event) -> None:
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        if "stop" in request:
            stopping.set()
        else:
            requests.put(request)
    stopping.set()
    requests.put(None)
