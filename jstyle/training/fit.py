"""The loop with a log and a loss curve beside its checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from jstyle.runtime import jt
from jstyle.training.loop import TrainStep, train
from jstyle.training.report import Log, draw_loss_curve
from jstyle.training.settings import LoopSettings
from jstyle.training.state import TrainState

Batch = TypeVar("Batch")


def fit_steps(
    folder: Path,
    state: TrainState,
    batch: Callable[[int], Batch],
    loss: Callable[[Batch, int], jt.Var],
    settings: LoopSettings,
    identity: Mapping[str, Any],
) -> Generator[TrainStep, None, None]:
    """The steps of `jstyle.training.train`, with a log and, at the end, a loss curve in ``folder``.

    It goes on from the checkpoint in the folder. Closing the generator writes one.
    """
    steps = train(state, batch, loss, settings, folder / "checkpoint", identity)
    with Log(folder) as log, closing(steps):
        for step in steps:
            log.add(step.step, loss=step.loss, rate=step.rate, grad_norm=step.grad_norm, seconds=step.seconds)
            yield step
    draw_loss_curve(folder, folder / "loss.png")
