"""One stage's training under a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Optional, TypeVar

from tqdm import tqdm

from jstyle.runtime import jt
from jstyle.training.fit import fit_steps
from jstyle.training.loop import TrainStep
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
    """Train to the end, going on from the checkpoint in ``folder``; see `fit_steps`. ``on_step`` sees each step.

    Raises KeyboardInterrupt, with a checkpoint written, after Ctrl-C or SIGTERM.
    """
    state = TrainState(parameters, settings)
    steps = fit_steps(folder, state, batch, loss, settings, identity)
    bar = tqdm(desc=folder.name, total=settings.steps, unit="step", mininterval=1)
    with stop_requests() as asked, bar, closing(steps):
        for step in steps:
            if on_step is not None:
                on_step(step, state)
            bar.update(step.step - bar.n)
            bar.set_postfix(loss=f"{step.loss:.4f}", refresh=False)
            if asked():
                raise KeyboardInterrupt
    return state
