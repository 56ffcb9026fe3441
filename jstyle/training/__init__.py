"""Training, free of any model: the loop, the optimizer, the diffusion loss, checkpoints and reports.

A trainer gives ``train`` its parameters, a function that makes the batch of an index and one that gives its loss.
Importing this starts nothing: what is asked for is imported then.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jstyle.training.loop import TrainStep, train
    from jstyle.training.loss import Question, ask, diffusion_loss
    from jstyle.training.settings import LoopSettings, LossSettings
    from jstyle.training.state import TrainState
    from jstyle.training.stopping import stop_requests

__all__ = [
    "LoopSettings",
    "TrainState",
    "TrainStep",
    "train",
    "stop_requests",
    "LossSettings",
    "Question",
    "ask",
    "diffusion_loss",
]

_HOMES = {
    "LoopSettings": "settings",
    "TrainState": "state",
    "TrainStep": "loop",
    "train": "loop",
    "stop_requests": "stopping",
    "LossSettings": "settings",
    "Question": "loss",
    "ask": "loss",
    "diffusion_loss": "loss",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
