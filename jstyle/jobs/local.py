"""Tasks on this machine: in this process, or in worker processes that each have their cores or their GPU."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from queue import Queue
from typing import Optional, Union

from jstyle.errors import InputError
from jstyle.events import Event
from jstyle.jobs.server import Reply, Server, read_reply
from jstyle.jobs.task import ATTEMPTS, Failed, Outcome, Task, WorkerSpec

_GRACE = 600.0  # seconds in which workers that are told to end may write a checkpoint, unless Ctrl-C comes again
_USELESS = 3  # a worker that never answered is not started again after so many deaths


@dataclass(frozen=True)
class Share:
    """A worker's share of the machine: these processor cores (empty: on all), with this GPU (None: as it comes)."""

    cores: tuple[int, ...] = ()
    device: Optional[str] = None


def share_cores(workers: int, devices: Sequence[str] = ()) -> list[Share]:
    """A share for each worker: a GPU each where there are devices, else an even share of this process's cores.

    Raises InputError for more workers than cores.
    """
    if devices:
        return [Share(device=device) for device in devices]
    cores = sorted(os.sched_getaffinity(0))
    if workers > len(cores):
        raise InputError(f"{workers} workers need as many processor cores; this process has {len(cores)}")
    return [Share(tuple(cores[i * len(cores) // workers : (i + 1) * len(cores) // workers])) for i in range(workers)]


def run_here(spec: WorkerSpec, tasks: Sequence[Task]) -> Iterator[Union[Event, Outcome]]:
    """One after another in this process, each outcome after what the worker tells.

    Raises InputError where the worker cannot be built.
    """
    server = Server(spec)
    for task in tasks:
        reply = yield from server.run(task)
        yield read_reply(task, reply)


def run_in_processes(spec: WorkerSpec, tasks: Sequence[Task], where: Sequence[Share]) -> Iterator[Outcome]:
    """In a process a share, each result as it comes. A worker that dies is replaced and its task run again.

    Raises InputError where a worker cannot be built or all of them die before they answer. Workers end when the
    iterator does.
    """
    pool = _Pool(spec, tasks, where)
    try:
        for _ in range(len(tasks)):
            outcome = pool.outcomes.get()
            if isinstance(outcome, Exception):
                raise outcome
            yield outcome
    finally:
        pool.close()


class _Pool:
    """A thread for each process: it hands over a task and waits for the reply."""

    def __init__(self, spec: WorkerSpec, tasks: Sequence[Task], where: Sequence[Share]) -> None:
        self.outcomes: Queue[Union[Outcome, Exception]] = Queue()
        self._todo: Queue[Optional[tuple[Task, int]]] = Queue()
        self._spec = spec
        self._closed = False
        self._lock = threading.Lock()
        self._processes: dict[int, _Process] = {}
        for task in tasks:
            self._todo.put((task, 1))
        self._threads = [threading.Thread(target=self._serve, args=(share,), daemon=True) for share in where]
        self._useful = len(self._threads)
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the processes and the threads. A process that handles SIGTERM is waited for."""
        with self._lock:
            self._closed = True
            processes = list(self._processes.values())
        _end(processes)
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self, share: Share) -> None:
        try:
            self._serve_tasks(share)
        except Exception as error:  # for the caller, who waits for outcomes
            self.outcomes.put(error)

    def _serve_tasks(self, share: Share) -> None:
        deaths, answered = 0, False
        process: Optional[_Process] = None
        for task, attempt in iter(self._todo.get, None):
            if process is None and (process := self._start(share)) is None:
                return
            reply = process.ask(task)
            if reply is not None:
                answered = True
                self.outcomes.put(read_reply(task, reply, attempt))
                continue
            process, deaths = None, deaths + 1
            self._retry_or_fail(task, attempt)
            if deaths == _USELESS and not answered:
                self._retire()
                return

    def _start(self, share: Share) -> Optional[_Process]:
        with self._lock:
            if self._closed:
                return None
            process = _Process(self._spec, share)
            self._processes[threading.get_ident()] = process
            return process

    def _retry_or_fail(self, task: Task, attempt: int) -> None:
        if attempt < ATTEMPTS:
            self._todo.put((task, attempt + 1))
        else:
            self.outcomes.put(Failed(task, "its worker died each time; is there enough memory?", attempt))

    def _retire(self) -> None:
        with self._lock:
            self._useful -= 1
            if self._useful == 0:
                self.outcomes.put(InputError("every worker died before it could answer; is there enough memory?"))


def _end(processes: Sequence[_Process]) -> None:
    """Ask all to end, wait, and kill what is left; at once where waiting is interrupted."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + _GRACE
    try:
        for process in processes:
            process.wait(deadline - time.monotonic())
    finally:
        for process in processes:
            process.kill()


_SERVER = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from jstyle.jobs.server import main; main()"
"""`python -m` would look into the current folder first, where another copy of the project may lie."""


class _Process:
    """A server of `jstyle.jobs.server`, of the same code as this process, found in the same places."""

    def __init__(self, spec: WorkerSpec, share: Share) -> None:
        environment = dict(os.environ)
        if share.cores:
            environment["OMP_NUM_THREADS"] = str(len(share.cores))
        if share.device is not None:
            environment["CUDA_VISIBLE_DEVICES"] = share.device
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
            encoding="utf-8",
        )
        how = {"path": spec.path, "arguments": spec.arguments, "cores": share.cores, "parent": os.getpid()}
        self._first = json.dumps(how)

    def ask(self, task: Task) -> Optional[Reply]:
        """The reply to a task, or None when the process died of it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write("".join(f"{line}\n" for line in (self._first, json.dumps(asdict(task))) if line))
            self._process.stdin.flush()
            self._first = ""
            line = self._process.stdout.readline()
        except OSError:  # the pipe broke
            line = ""
        if not line.endswith("\n"):
            self.kill()
            return None
        return json.loads(line)

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Until it has ended, or so long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, seconds))

    def kill(self) -> None:
        """End it now, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
