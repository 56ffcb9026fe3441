"""A problem that trains in no time: y = tanh(x w1 + b1) w2, fitted to another such network's outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jstyle import ops
from jstyle.runtime import jt
from jstyle.training import LoopSettings, TrainState, train
from jstyle.training.draws import make_generator
from jstyle.training.loop import TrainStep

SETTINGS = LoopSettings(
    steps=7, rate=0.05, schedule="cosine", warmup=2, accumulate=2, clip=0.5, ema=0.9, checkpoint_every=2
)
SHAPES = {"w1": (8, 3), "b1": (8,), "w2": (2, 8)}

Examples = tuple[np.ndarray, np.ndarray]


def weights(seed: int) -> dict[str, np.ndarray]:
    return {name: make_generator(seed, 0, name).standard_normal(shape, np.float32) for name, shape in SHAPES.items()}


def parameters() -> dict[str, jt.Var]:
    return {name: jt.array(array) for name, array in weights(seed=1).items()}


def batch(index: int) -> Examples:
    """Drawn anew for each index."""
    x = make_generator(0, index, "x").standard_normal((16, 3), np.float32)
    true = weights(seed=2)
    return x, np.tanh(x @ true["w1"].T + true["b1"]) @ true["w2"].T


def loss_of(trained: dict[str, jt.Var]) -> Any:
    def loss(examples: Examples, index: int) -> jt.Var:
        x, y = map(jt.array, examples)
        hidden = jt.tanh(ops.linear(x, trained["w1"], trained["b1"]))
        return (ops.linear(hidden, trained["w2"], None) - y).sqr().mean()

    return loss


def run(
    output: Path, settings: LoopSettings = SETTINGS, most: int = 10**9, after: Callable[[], object] = lambda: None
) -> tuple[TrainState, list[TrainStep]]:
    """Train for ``most`` steps at most, then close the generator as a caller does who was interrupted.

    ``after`` is called when a step is done.
    """
    trained = parameters()
    state = TrainState(trained, settings)
    steps = train(state, batch, loss_of(trained), settings, output)
    done = []
    for step in steps:
        done.append(step)
        after()
        if len(done) == most:
            break
    steps.close()
    return state, done


def bits(state: TrainState) -> dict[str, bytes]:
    return {name: var.numpy().tobytes() for name, var in state.tensors().items()}
