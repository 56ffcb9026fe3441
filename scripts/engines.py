"""The options of scripts that spread their tasks over workers, and how such a script ends."""

from __future__ import annotations

import signal
import sys
from dataclasses import asdict, dataclass
from typing import Any, List, Literal, NoReturn, Optional


@dataclass(frozen=True)
class EngineOptions:
    """Where tasks run."""

    engine: Literal["local", "ray"] = "local"
    """Run on this machine, or on a Ray cluster (requirements-ray.txt) whose machines share the data and the output."""

    devices: Optional[tuple[str, ...]] = None
    """GPUs of this machine, such as 0 1: a worker each."""

    ray_address: Optional[str] = None
    """auto, or ray://HOST:10001; by default a Ray of this machine's own."""

    ray_cores: float = 1
    """Cores of the cluster that a worker takes."""

    ray_gpus: float = 0
    """GPUs of the cluster that a worker takes."""


def engine_of(options: EngineOptions, workers: int) -> Any:
    """The engine with so many workers; 0 is this process."""
    from jstyle.jobs.engine import Engine

    ray = {name: value for name, value in asdict(options).items() if name.startswith("ray_")}
    return Engine(options.engine, workers, options.devices or (), **ray)


def end_like_ctrl_c_at_sigterm() -> None:
    """SIGTERM becomes KeyboardInterrupt, so that workers write their checkpoints and end with this process."""

    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def train(training: Any, engine: Any, todo: Any) -> List[str]:
    """Train under a bar that counts styles. Returns a line for each that failed."""
    from tqdm import tqdm

    from jstyle.jobs.task import Done

    failures = []
    with tqdm(total=len(todo), desc="training", unit="style", disable=len(todo) < 2) as bar:
        for outcome in training.run(engine, todo):
            bar.update()
            if not isinstance(outcome, Done):
                failures.append(f"{outcome.task.name}: {outcome.error}; see {training.log(outcome.task.name)}")
                bar.write(f"error: {failures[-1]}", file=sys.stderr)
    return failures
