"""The engine that runs tasks: this process, worker processes, or Ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Optional

from jstyle.jobs.local import here, in_processes, places
from jstyle.jobs.on_ray import on_ray
from jstyle.jobs.task import Outcome, Task, WorkerSpec


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

    def run(self, spec: WorkerSpec, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """The outcome of every task, in the order in which they end. Raises InputError where nothing can run."""
        if not tasks:
            return iter(())
        if self.name == "ray":
            workers = self.workers or 1
            return on_ray(spec, tasks, workers, address=self.ray_address, cores=self.ray_cores, gpus=self.ray_gpus)
        if self.workers == 0 and not self.devices:
            return here(spec, tasks)
        return in_processes(spec, tasks, places(self.workers, self.devices))
