"""What is run, what runs it, and what comes of it: plain data, which can be sent to any process."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol, Union

from jstyle.errors import InputError
from jstyle.events import Event
from jstyle.runtime.start_error import StartError


@dataclass(frozen=True)
class Task:
    """One piece of work.

    ``data`` must be JSON. Tasks of the same ``kind`` need the same kernels: the first of them compiles those, and so
    runs alone on its machine (`jstyle.jobs.compiled_once`).
    """

    name: str
    data: Mapping[str, Any]
    kind: str = ""


class Worker(Protocol):
    """Built once in each process, with its weights; then it runs one task after another.

    A task whose worker dies is run again, so results must appear under their names only when they are whole. Where
    tasks take long, a worker may also have a method ``rehearse``: it is called with the data of the first task of a
    kind, alone on the machine, and the task itself then runs beside others. SIGTERM asks a worker to end soon, without
    losing what it has done.
    """

    def run(self, data: Mapping[str, Any]) -> Union[Mapping[str, Any], Generator[Event, None, Mapping[str, Any]]]:
        """Run a task and return its result, which must be JSON. What it raises makes the task fail.

        As a generator it also tells what happens, to who runs it in this process.
        """
        ...


@dataclass(frozen=True)
class WorkerSpec:
    """A `Worker` that is not built yet: "package.module:Class" and its arguments, which must be JSON."""

    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Worker:
        """The worker. Raises InputError where there is no such class, and whatever its module and the class raise."""
        module, _, name = self.path.partition(":")
        try:
            factory = getattr(import_module(module), name)
        except StartError:  # an ImportError too, but the module is there
            raise
        except (ImportError, AttributeError, ValueError) as error:
            raise InputError(f"there is no worker {self.path!r} ({error})") from error
        return factory(**self.arguments)


@dataclass(frozen=True)
class Done:
    """A task that was run, what it returned, and the seconds it took."""

    task: Task
    result: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True)
class Failed:
    """A task that could not be run, why, and how often it was tried."""

    task: Task
    error: str
    attempts: int = 1


Outcome = Union[Done, Failed]

ATTEMPTS = 3
"""How often a task is tried whose worker dies. An exception is final: it would be raised again."""
