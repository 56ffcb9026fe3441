"""One whole run: the loop with a log, a progress bar, a loss curve, and a checkpoint when it is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Optional, TypeVar

from tqdm import tqdm

from jstyle.runtime import jt
from jstyle.training.loop import TrainStep, train
from jstyle.training.report import Log, loss_curve
from jstyle.training.settings import LoopSettings
from jstyle.training.state import TrainState
from jstyle.training.stopping import stop_requests

Batch = TypeVar("Batch")
OnStep = Callable[[TrainStep, TrainState], None]


def fit(
    folder: Path,
    parameters: Mapping[str, jt.Var],
    batch: Callable[[int], Batch],
    loss: Callable[[Batch, int], jt.Var],
    settings: LoopSettings,
    identity: Mapping[str, Any],
    on_step: Optional[OnStep] = None,
) -> TrainState:
    """Train to the end, going on from the checkpoint in ``folder``; see ``jstyle.training.train``.

    Raises KeyboardInterrupt, with a checkpoint written, after Ctrl-C or SIGTERM.
    """
    state = TrainState(parameters, settings)
    steps = train(state, batch, loss, settings, folder / "checkpoint", identity)
    bar = tqdm(desc=folder.name, total=settings.steps, unit="step", mininterval=1)
    with Log(folder) as log, stop_requests() as asked, bar, closing(steps):
        for step in steps:
            log.add(step.step, loss=step.loss, rate=step.rate, grad_norm=step.grad_norm, seconds=step.seconds)
            bar.update(step.step - bar.n)
            bar.set_postfix(loss=f"{step.loss:.4f}", refresh=False)
            if on_step is not None:
                on_step(step, state)
            if asked():
                raise KeyboardInterrupt
    loss_curve(folder, folder / "loss.png")
    return state
