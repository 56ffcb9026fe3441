"""The engine that runs tasks: this process, worker processes, or Ray."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Literal, Optional, Union

from jstyle.events import Event
from jstyle.jobs.local import run_here, run_in_processes, share_cores
from jstyle.jobs.task import Done, Failed, Outcome, Task, WorkerSpec
from jstyle.table import load_attribute

RUN_ON_RAY = "jstyle.jobs.on_ray:run_on_ray"
"""Loaded where Ray is asked for, which few have."""


@dataclass(frozen=True)
class Engine:
    """Where tasks run.

    With 0 ``workers`` and no ``devices`` it is this process; each of ``devices`` is a GPU for one worker. On Ray each
    worker takes ``ray_cores`` and ``ray_gpus`` of the cluster.
    """

    name: Literal["local", "ray"] = "local"
    workers: int = 0
    devices: tuple[str, ...] = ()
    ray_address: Optional[str] = None
    ray_cores: float = 1
    ray_gpus: float = 0

    def run(self, spec: WorkerSpec, tasks: Sequence[Task]) -> Generator[Outcome, None, None]:
        """The outcome of every task, in the order in which they end. Raises InputError where nothing can run."""
        with closing(self.run_telling(spec, tasks)) as events:
            for event in events:
                if isinstance(event, (Done, Failed)):
                    yield event

    def run_telling(self, spec: WorkerSpec, tasks: Sequence[Task]) -> Generator[Union[Event, Outcome], None, None]:
        """As `run`; before each outcome comes what the worker tells, where it runs in this process."""
        if not tasks:
            return
        if self.name == "ray":
            workers = self.workers or 1
            address, cores, gpus = self.ray_address, self.ray_cores, self.ray_gpus
            run_on_ray = load_attribute(RUN_ON_RAY)
            yield from run_on_ray(spec, tasks, workers, address=address, cores=cores, gpus=gpus)
        elif self.workers == 0 and not self.devices:
            yield from run_here(spec, tasks)
        else:
            yield from run_in_processes(spec, tasks, share_cores(self.workers, self.devices))
