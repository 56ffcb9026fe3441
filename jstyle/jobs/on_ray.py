"""Tasks on Ray: the cores and GPUs of one machine or of several that share their storage."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Optional

import jstyle
from jstyle.errors import InputError
from jstyle.jobs.server import Reply, Server, read_reply
from jstyle.jobs.task import ATTEMPTS, Failed, Outcome, Task, WorkerSpec

_USELESS = 3  # deaths for each worker, before any of them answered, after which no more are started


class Actor:
    """What Ray keeps in each worker process."""

    def __init__(self, path: str, arguments: Mapping[str, Any]) -> None:
        self._server = Server(WorkerSpec(path, arguments))

    def answer(self, task: Mapping[str, Any]) -> Reply:
        """`Server.answer`."""
        return self._server.answer(Task(**task))


def run_on_ray(
    spec: WorkerSpec,
    tasks: Sequence[Task],
    workers: int,
    *,
    address: Optional[str] = None,
    cores: float = 1,
    gpus: float = 0,
) -> Iterator[Outcome]:
    """On ``workers`` actors of a cluster, each with so many cores and GPUs; results as they come.

    ``address`` is a cluster's ("auto", "ray://host:10001"); without one Ray is started on this machine, and stopped
    at the end. An actor that dies is replaced and its task run again. Every machine needs what the project depends on,
    and the project itself where it does not see this machine's folder. Raises InputError where Ray is
    not installed or not reached, or a worker cannot be built.
    """
    ray, is_ours = _connect(address, workers, cores, gpus)
    pool = _Pool(ray, spec, cores, gpus)
    try:
        yield from pool.run(tasks, workers)
    finally:
        pool.close()
        if is_ours:
            ray.shutdown()


def _connect(address: Optional[str], workers: int, cores: float, gpus: float) -> tuple[Any, bool]:
    """Ray, and whether it is ours to shut down."""
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError("Ray is not installed: pip install 'jstyle[ray]'") from error
    if ray.is_initialized():
        return ray, False
    options: dict[str, Any] = {"address": address}
    if address is None:
        options = {"address": "local", "num_cpus": max(1, round(workers * cores)), "include_dashboard": False}
        if gpus:
            options["num_gpus"] = max(1, round(workers * gpus))
    try:
        ray.init(logging_level="warning", log_to_driver=True, **options)
    except Exception as error:  # Ray's own errors are of many kinds
        detail = " ".join(str(error).split())[:200]
        raise InputError(f"cannot start or reach Ray at {address or 'this machine'}: {detail}") from error
    return ray, True


class _Pool:
    """Actors, and which task each of them has."""

    def __init__(self, ray: Any, spec: WorkerSpec, cores: float, gpus: float) -> None:
        self._ray = ray
        self._spec = spec
        environment = {"env_vars": {"PYTHONPATH": _python_path()}}
        self._remote = ray.remote(num_cpus=cores, num_gpus=gpus, max_restarts=0, runtime_env=environment)(Actor)
        self._actors: list[Any] = []

    def run(self, tasks: Sequence[Task], workers: int) -> Iterator[Outcome]:
        todo: deque[tuple[Task, int]] = deque((task, 1) for task in tasks)
        under_way: dict[Any, tuple[Any, Task, int]] = {}
        idle = [self._start() for _ in range(min(workers, len(tasks)))]
        deaths, answered = 0, False
        while todo or under_way:
            while todo and idle:
                actor, (task, attempt) = idle.pop(), todo.popleft()
                under_way[actor.answer.remote(asdict(task))] = actor, task, attempt
            ready, _ = self._ray.wait(list(under_way), num_returns=1)
            actor, task, attempt = under_way.pop(ready[0])
            try:
                reply = self._ray.get(ready[0])
            except self._ray.exceptions.RayError as error:  # the actor or its machine died
                deaths += 1
                if deaths >= _USELESS * workers and not answered:
                    raise InputError(f"the workers die before they answer: {_shorten(error)}") from error
                if attempt < ATTEMPTS:
                    todo.append((task, attempt + 1))
                else:
                    yield Failed(task, "its worker died each time; is there enough memory?", attempt)
                self._actors.remove(actor)
                idle.append(self._start())
                continue
            answered = True
            idle.append(actor)
            yield read_reply(task, reply, attempt)

    def close(self) -> None:
        """End the actors."""
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors = []

    def _start(self) -> Any:
        actor = self._remote.remote(self._spec.path, dict(self._spec.arguments))
        self._actors.append(actor)
        return actor


def _python_path() -> str:
    """Where this code lies, first: on machines that share the folder, actors run it whatever is installed there."""
    root = str(Path(jstyle.__file__).resolve().parents[1])
    return os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])


def _shorten(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
