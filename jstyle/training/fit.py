"""One whole run: the loop with a log, a progress bar, a loss curve, and a checkpoint when it is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
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
    """Train to the end under a progress bar, going on from the checkpoint in ``folder``; see `fit_steps`.

    Raises KeyboardInterrupt, with a checkpoint written, after Ctrl-C or SIGTERM.
    """
    state = TrainState(parameters, settings)
    steps = fit_steps(folder, state, batch, loss, settings, identity, on_step)
    bar = tqdm(desc=folder.name, total=settings.steps, unit="step", mininterval=1)
    with stop_requests() as asked, bar, closing(steps):
        for step in steps:
            bar.update(step.step - bar.n)
            bar.set_postfix(loss=f"{step.loss:.4f}", refresh=False)
            if asked():
                raise KeyboardInterrupt
    return state


def fit_steps(
    folder: Path,
    state: TrainState,
    batch: Callable[[int], Batch],
    loss: Callable[[Batch, int], jt.Var],
    settings: LoopSettings,
    identity: Mapping[str, Any],
    on_step: Optional[OnStep] = None,
) -> Generator[TrainStep, None, None]:
    """The steps of `jstyle.training.train`, with a log and, at the end, a loss curve in ``folder``.

    ``on_step`` sees each step, and the state after it, before the caller does. Closing the generator writes a
    checkpoint.
    """
    steps = train(state, batch, loss, settings, folder / "checkpoint", identity)
    with Log(folder) as log, closing(steps):
        for step in steps:
            log.add(step.step, loss=step.loss, rate=step.rate, grad_norm=step.grad_norm, seconds=step.seconds)
            if on_step is not None:
                on_step(step, state)
            yield step
    loss_curve(folder, folder / "loss.png")
