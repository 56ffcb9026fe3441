"""Training, free of any model: the loop, the optimizer, the diffusion loss, checkpoints and reports.

A trainer gives ``train`` its parameters, a function that makes the batch of an index and one that gives its loss.
"""

from __future__ import annotations

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
