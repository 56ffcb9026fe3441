"""Training, free of any model: the loop, the optimizer, the diffusion loss, checkpoints and reports.

A trainer gives ``train`` its parameters, a function that makes the batch of an index and one that gives its loss.
Importing this starts nothing: what is asked for is imported then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jstyle.lazy import imported_on_demand

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

__getattr__ = imported_on_demand(
    __name__,
    {
        "LoopSettings": "jstyle.training.settings",
        "TrainState": "jstyle.training.state",
        "TrainStep": "jstyle.training.loop",
        "train": "jstyle.training.loop",
        "stop_requests": "jstyle.training.stopping",
        "LossSettings": "jstyle.training.settings",
        "Question": "jstyle.training.loss",
        "ask": "jstyle.training.loss",
        "diffusion_loss": "jstyle.training.loss",
    },
)
