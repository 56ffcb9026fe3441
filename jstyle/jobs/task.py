"""What is run, by what, and what comes of it: plain data, so that it travels to any process."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Mapping, Protocol, Union

from jstyle.errors import InputError


@dataclass(frozen=True)
class Task:
    """One piece of work.

    ``data`` is what JSON can hold. ``kind`` names the way through the code: the first task of a kind compiles kernels,
    and runs alone on its machine (`jstyle.jobs.compiled_once`).
    """

    name: str
    data: Mapping[str, Any]
    kind: str = ""


class Worker(Protocol):
    """Built once in each process, with its weights; then it runs one task after another.

    Results lie in shared storage under their name only when they are whole: a task whose worker dies is run again.
    What ``run`` returns is what JSON can hold. Where tasks take long, a worker may have a method ``rehearse`` besides:
    it is called with the data of the first task of a kind, alone on the machine; the task itself runs beside others.
    SIGTERM asks a worker to end soon; what it has done should not be lost.
    """

    def run(self, data: Mapping[str, Any]) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class WorkerSpec:
    """A `Worker` that is not built yet: "package.module:Class", and its arguments, which JSON can hold."""

    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Worker:
        """Raises InputError where there is no such class; what the class raises goes on."""
        module, _, name = self.path.partition(":")
        try:
            factory = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise InputError(f"there is no worker {self.path!r} ({error})") from error
        return factory(**self.arguments)


@dataclass(frozen=True)
class Done:
    """A task that was run: what it returned, and the seconds it took."""

    task: Task
    result: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True)
class Failed:
    """A task that could not be run: why, and how often it was tried."""

    task: Task
    error: str
    attempts: int = 1


Outcome = Union[Done, Failed]

ATTEMPTS = 3
"""How often a task is given to a worker that dies of it. An exception is final: it would come again."""
