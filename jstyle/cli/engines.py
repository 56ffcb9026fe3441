"""The options of commands that spread their tasks over workers, and how such a command ends."""

from __future__ import annotations

import signal
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, NoReturn, Optional

if TYPE_CHECKING:
    from jstyle.jobs.engine import Engine


@dataclass(frozen=True)
class EngineOptions:
    """Where tasks run."""

    engine: Literal["local", "ray"] = "local"
    """This machine, or a Ray cluster (pip install 'jstyle[ray]') whose machines share the data and the output."""

    devices: Optional[tuple[str, ...]] = None
    """GPUs of this machine, such as 0 1: a worker each."""

    ray_address: Optional[str] = None
    """auto, or ray://HOST:10001; by default a Ray of this machine's own."""

    ray_cores: float = 1
    """Cores of the cluster that a worker takes."""

    ray_gpus: float = 0
    """GPUs of the cluster that a worker takes."""


def make_engine(options: EngineOptions, workers: int) -> Engine:
    """The engine with so many workers; 0 is this process."""
    from jstyle.jobs.engine import Engine

    ray = {name: value for name, value in asdict(options).items() if name.startswith("ray_")}
    return Engine(options.engine, workers, options.devices or (), **ray)


def end_like_ctrl_c_at_sigterm() -> None:
    """SIGTERM becomes KeyboardInterrupt, so that workers write their checkpoints and end with this process."""

    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
