"""Everything that a training run changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Optional

import numpy as np

from jstyle.errors import InputError
from jstyle.runtime import jt
from jstyle.training.average import Average
from jstyle.training.optimizer import AdamW
from jstyle.training.scaling import LossScale
from jstyle.training.settings import LoopSettings
from jstyle.weights.tensors import Tensors


class TrainState:
    """Parameters, the optimizer's moments, the parameters' average (where ``settings.ema`` asks for one), the loss's
    scale (where ``settings.loss_scale`` does), and ``step``, the number of updates done. ``tensors`` names all arrays;
    with ``step`` they are the whole state.
    """

    def __init__(self, parameters: Mapping[str, jt.Var], settings: LoopSettings) -> None:
        if not parameters:
            raise InputError("there is nothing to train: no parameter was given")
        self.parameters: dict[str, jt.Var] = dict(parameters)
        self.optimizer = AdamW(
            parameters, settings.beta1, settings.beta2, settings.eps, weight_decay=settings.weight_decay
        )
        self.average: Optional[Average] = Average(parameters, settings.ema) if settings.ema else None
        self.scale: Optional[LossScale] = LossScale(settings.loss_scale) if settings.loss_scale else None
        self.step = 0

    def update(self, gradients: Sequence[jt.Var], rate: float, scale: float) -> None:
        """One step of the optimizer, and of the average."""
        self.optimizer.update(gradients, self.step + 1, rate, scale)
        if self.average is not None:
            self.average.update(self.step + 1)
        if self.scale is not None:
            self.scale.count_success()
        self.step += 1

    def averaged(self) -> AbstractContextManager:
        """The parameters hold their averages while this is open, where there are any."""
        return nullcontext() if self.average is None else self.average.swapped_in()

    def tensors(self) -> dict[str, jt.Var]:
        """Every array of the state under its name in a checkpoint."""
        named = {f"parameters.{name}": parameter for name, parameter in self.parameters.items()}
        for name, (m, v) in self.optimizer.moments.items():
            named.update({f"adamw.m.{name}": m, f"adamw.v.{name}": v})
        if self.average is not None:
            named.update({f"average.{name}": value for name, value in self.average.values.items()})
        if self.scale is not None:
            named["loss_scale"] = self.scale.state
        return named

    def restore(self, stored: Tensors, step: int) -> None:
        """Become the state that was stored. Raises InputError, before any change, where it is of other parameters."""
        named = self.tensors()
        shapes = {name: tuple(var.shape) for name, var in named.items()}
        if dict(stored.shapes()) != shapes:
            different = sorted(shapes.items() ^ stored.shapes().items())
            raise InputError(f"the checkpoint is of other parameters: {different[0][0]} is missing or of another shape")
        for name, var in named.items():
            with jt.no_grad():
                value = jt.array(np.ascontiguousarray(stored.read(name)))
            value.sync()
            var.assign(value)
            if name.startswith("parameters."):
                var.start_grad()
        self.step = step
