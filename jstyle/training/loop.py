"""The loop that every trainer shares: a generator of finished steps."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, TypeVar

import numpy as np

from jstyle.errors import InputError
from jstyle.runtime import jt
from jstyle.settings.identity import find_difference
from jstyle.training import checkpoint
from jstyle.training.optimizer import clip_scale, gradients_of, norms
from jstyle.training.rates import rate_at
from jstyle.training.settings import LoopSettings
from jstyle.training.state import TrainState

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class TrainStep:
    """One finished update: ``step`` counts from 1, ``loss`` and ``grad_norm`` (before clipping) belong to the
    parameters before it, ``seconds`` is what it took.
    """

    step: int
    loss: float
    rate: float
    grad_norm: float
    seconds: float


def train(
    state: TrainState,
    batch: Callable[[int], Batch],
    loss: Callable[[Batch, int], jt.Var],
    settings: LoopSettings,
    output: Path,
    identity: Optional[Mapping[str, Any]] = None,
) -> Generator[TrainStep, None, None]:
    """Go on from the checkpoint in ``output``, if there is one, to ``settings.steps``.

    ``batch(index)`` and ``loss(batch, index)``, a scalar, are called for the indices 0, 1, ... of batches, of which
    a step takes ``settings.accumulate``; they must depend on nothing else that changes. Then a resumed run gives the
    bits of an uninterrupted one. ``identity`` tells runs apart beyond their settings: which data, which method.

    At a constant rate a finished run goes on where ``settings.steps`` are more than it had, to the bits of one that was
    asked for them at once.

    A checkpoint is written every ``settings.checkpoint_every`` steps, at the end, and when the generator is closed:

        with stop_requests() as asked, closing(train(...)) as steps:
            for step in steps:
                log.add(step)
                if asked():  # Ctrl-C or SIGTERM
                    raise KeyboardInterrupt

    Raises InputError where the checkpoint is of another run or past ``settings.steps``, and where the loss or a
    gradient is not finite; that step changes nothing.
    """
    whole = json.loads(
        json.dumps({**settings.fixed_when_resumed(), **(identity or {})})
    )  # as it comes back from a file
    saved = _resume(state, output, whole, settings)
    finished = saved.finished if saved else 0
    try:
        while state.step < settings.steps:
            yield _step(state, batch, loss, settings, saved)
            # only now, so that no step is in a checkpoint before the caller has seen it
            if state.step % settings.checkpoint_every == 0 and state.step < settings.steps:
                saved = checkpoint.save(output, state.tensors(), state.step, whole, finished)
        if finished != settings.steps:
            checkpoint.save(output, state.tensors(), state.step, whole, settings.steps)
    except GeneratorExit:
        if saved is None or saved.step != state.step:
            checkpoint.save(output, state.tensors(), state.step, whole, finished)
        raise


def _resume(
    state: TrainState, output: Path, identity: Mapping[str, Any], settings: LoopSettings
) -> Optional[checkpoint.Checkpoint]:
    saved = checkpoint.find_latest(output)
    if saved is None:
        return None
    difference = find_difference(identity, saved.identity)
    if difference is not None:
        name, now, then = difference
        why = settings.explain_fixed_steps() if name == "steps" else "go on with the same settings"
        raise InputError(
            f"the run in {str(output)!r} was begun with {name} = {then!r}, not {now!r}; {why}, or choose another output"
        )
    if saved.step > settings.steps:
        raise InputError(
            f"the run in {str(output)!r} has had {saved.step} updates, more than steps = {settings.steps}; "
            "ask for more of them, or choose another output"
        )
    state.restore(saved.tensors(), saved.step)
    return saved


def _step(
    state: TrainState,
    batch: Callable[[int], Batch],
    loss: Callable[[Batch, int], jt.Var],
    settings: LoopSettings,
    saved: Optional[checkpoint.Checkpoint],
) -> TrainStep:
    start = time.perf_counter()
    while True:
        times = settings.accumulate * (state.scale.value if state.scale else 1.0)
        mean, total = _gradients(state, batch, loss, settings)
        separate = norms(total) / times
        norm = float(np.linalg.norm(separate))
        overflowed = math.isfinite(mean) and not math.isfinite(norm)
        if not (overflowed and state.scale and state.scale.lower()):
            break
    _require_finite(mean, dict(zip(state.parameters, separate)), state.step + 1, saved)
    rate = rate_at(state.step, settings.rate, settings.schedule, settings.steps, settings.warmup)
    state.update(total, rate, clip_scale(norm, settings.clip) / times)
    return TrainStep(state.step, mean, rate, norm, time.perf_counter() - start)


def _gradients(
    state: TrainState, batch: Callable[[int], Batch], loss: Callable[[Batch, int], jt.Var], settings: LoopSettings
) -> tuple[float, list[jt.Var]]:
    """The mean loss of this step's batches, and the sums of their gradients, scaled where the loss is."""
    first = state.step * settings.accumulate
    losses, total = [], None
    for index in range(first, first + settings.accumulate):
        lost, total = _backward(loss(batch(index), index), state, total)
        losses.append(lost)
    assert total is not None
    return float(np.mean(losses)), total


def _backward(loss: jt.Var, state: TrainState, add_to: Optional[list[jt.Var]]) -> tuple[float, list[jt.Var]]:
    """The loss as a number, and gradients. The Var ends here: it would hold the old parameters through the update."""
    scaled = loss * state.scale.value if state.scale else loss
    gradients = gradients_of(scaled, list(state.parameters.values()), add_to)
    return loss.item(), gradients


def _require_finite(
    loss: float, gradients: Mapping[str, float], step: int, saved: Optional[checkpoint.Checkpoint]
) -> None:
    wrong = [name for name, norm in gradients.items() if not math.isfinite(norm)]
    if math.isfinite(loss) and not wrong:
        return
    what = f"the gradient of {wrong[0]}" if math.isfinite(loss) else "the loss"
    last = f"the last checkpoint is {str(saved.path)!r}" if saved else "there is no checkpoint yet"
    raise InputError(f"step {step}: {what} is not finite, and was not applied; {last}; try a lower rate")
