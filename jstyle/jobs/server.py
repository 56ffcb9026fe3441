"""A worker that answers tasks: in this process, behind a pipe, or inside a Ray actor.

As a process (`main`) it reads JSON lines from stdin, first the spec and then tasks, and writes a line for each task.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Generator, Mapping
from contextlib import nullcontext
from typing import Any, Optional

from jstyle.errors import InputError
from jstyle.events import Event, exhaust
from jstyle.jobs.task import Done, Failed, Outcome, Task, Worker, WorkerSpec
from jstyle.runtime.start_error import StartError

Reply = dict[str, Any]


class Server:
    """Builds its worker at the first task. Replies are plain data, even for a task that raises an exception."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._spec = spec
        self._worker: Optional[Worker] = None

    def answer(self, task: Task) -> Reply:
        """What became of the task: {"result", "seconds"}, or a reason.

        {"failed"} is of this task alone; {"broken"} says why no worker could be built, {"cannot_start"} why Jittor
        cannot start on this machine.
        """
        return exhaust(self.run(task))

    def run(self, task: Task) -> Generator[Event, None, Reply]:
        """What the worker tells meanwhile; returns the answer."""
        from jstyle.jobs.compiled_once import compiled_once

        try:
            if self._worker is None:
                with compiled_once(f"build {self._spec}"):
                    self._worker = self._spec.build()
        except StartError as error:
            return {"cannot_start": str(error)}
        except Exception as error:
            return {"broken": _describe_error(error)}
        try:
            return (yield from self._run(self._worker, task))
        except StartError as error:
            return {"cannot_start": str(error)}
        except Exception as error:
            return {"failed": _describe_error(error)}

    def _run(self, worker: Worker, task: Task) -> Generator[Event, None, Reply]:
        from jstyle.jobs.compiled_once import compiled_once

        rehearse = getattr(worker, "rehearse", None)
        kind = f"run {self._spec.path} {task.kind}"
        if rehearse is not None:
            with compiled_once(kind) as first:
                if first:
                    rehearse(task.data)
        start = time.perf_counter()
        with nullcontext() if rehearse is not None else compiled_once(kind):
            result = worker.run(task.data)
            if isinstance(result, Generator):
                result = yield from result
        return {"result": dict(result), "seconds": time.perf_counter() - start}


def read_reply(task: Task, reply: Mapping[str, Any], attempts: int = 1) -> Outcome:
    """The outcome that a reply to a task stands for.

    Raises InputError where the worker could not be built, StartError where Jittor cannot start.
    """
    if "cannot_start" in reply:
        raise StartError(reply["cannot_start"])
    if "broken" in reply:
        raise InputError(reply["broken"])
    if "failed" in reply:
        return Failed(task, reply["failed"], attempts)
    return Done(task, reply["result"], reply["seconds"])


def _describe_error(error: Exception) -> str:
    """One line; what the user cannot mend also leaves its traceback on stderr."""
    if isinstance(error, InputError):
        return str(error)
    traceback.print_exception(type(error), error, error.__traceback__, file=sys.stderr)
    return " ".join(f"{type(error).__name__}: {error}".split())


def main() -> None:
    """Answer the tasks on stdin, one after another, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # Jittor prints on stdout, where nothing but replies may appear
    spec = json.loads(sys.stdin.readline())
    if spec["cores"]:
        os.sched_setaffinity(0, spec["cores"])
    end_with_parent(spec["parent"])
    server = Server(WorkerSpec(spec["path"], spec["arguments"]))
    try:
        for line in iter(sys.stdin.readline, ""):
            reply = server.answer(Task(**json.loads(line)))
            print(json.dumps(reply), file=replies, flush=True)
    except KeyboardInterrupt:  # a training that was asked to end has written its checkpoint
        sys.exit(130)


def end_with_parent(parent: int) -> None:
    """From now on, end this process when its parent has ended.

    A worker whose parent was killed would finish its task, which may take hours, or wait for another for ever.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
