"""AdamW over named parameters (arXiv 1711.05101), and gradients: taken, added, measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Optional

import numpy as np

from jstyle import ops
from jstyle.errors import InputError
from jstyle.ops.kernels.operator import call, usable
from jstyle.runtime import jt


class AdamW:
    """Adam with decoupled weight decay, its bias correction as in PyTorch.

    ``moments`` holds each parameter's running mean of gradients and of squared gradients: all of its state. The
    parameters are made trainable. Raises InputError for one that is not fp32.
    """

    def __init__(
        self,
        parameters: Mapping[str, jt.Var],
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        for name, parameter in parameters.items():
            if str(parameter.dtype) != "float32":
                raise InputError(f"{name} is {parameter.dtype}: train in fp32")
            parameter.start_grad()
        self.parameters = dict(parameters)
        self.moments: dict[str, tuple[jt.Var, jt.Var]] = {
            name: (_zeros(parameter), _zeros(parameter)) for name, parameter in parameters.items()
        }
        self.betas = (beta1, beta2)
        self.eps = eps
        self.weight_decay = weight_decay

    def update(self, gradients: Sequence[jt.Var], number: int, rate: float, scale: float = 1.0) -> None:
        """Move every parameter by its gradient times ``scale``. ``number`` counts the updates from 1."""
        beta1, beta2 = self.betas
        numbers = {
            "lr": rate,
            "beta1": beta1,
            "beta2": beta2,
            "eps": self.eps,
            "weight_decay": self.weight_decay,
            "correction1": 1 - beta1**number,
            "correction2": 1 - beta2**number,
            "scale": scale,
        }
        for (name, parameter), gradient in zip(self.parameters.items(), gradients):
            old = (parameter, *self.moments[name])
            with jt.no_grad():
                new = adamw(parameter, gradient, *self.moments[name], **numbers)
            jt.sync(list(new))  # one by one, or all old and new values would be in memory together
            for var, value in zip(old, new):
                var.assign(value)
            parameter.start_grad()


def adamw(
    parameter: jt.Var,
    gradient: jt.Var,
    m: jt.Var,
    v: jt.Var,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    correction1: float,
    correction2: float,
    scale: float = 1.0,
) -> Sequence[jt.Var]:
    """The next parameter, m and v (arXiv 1711.05101, algorithm 2). The corrections are 1 - beta^t."""
    if usable(parameter, gradient, m, v):
        return call(
            "adamw",
            [parameter, gradient, m, v],
            lr=lr,
            beta1=beta1,
            beta2=beta2,
            eps=eps,
            weight_decay=weight_decay,
            correction1=correction1,
            correction2=correction2,
            scale=scale,
        )
    gradient = gradient * scale
    m = m * beta1 + gradient * (1 - beta1)
    v = v * beta2 + gradient * gradient * (1 - beta2)
    root = jt.sqrt(v) / math.sqrt(correction2)
    return parameter - (parameter * (lr * weight_decay) + m / (root + eps) * (lr / correction1)), m, v


def gradients_of(loss: jt.Var, parameters: Sequence[jt.Var], add_to: Optional[list[jt.Var]] = None) -> list[jt.Var]:
    """The gradients of a scalar, computed along with it, added to earlier ones where these are given."""
    gradients = jt.grad(loss, list(parameters))
    if add_to is not None:
        gradients = [ops.add(total, gradient) for total, gradient in zip(add_to, gradients)]
    gradients = [gradient.stop_grad() for gradient in gradients]
    jt.sync([loss, *gradients])
    return gradients


def norms(tensors: Sequence[jt.Var]) -> np.ndarray:
    """The Euclidean norm of each, (tensors,) float64."""
    with jt.no_grad():
        if usable(*tensors):
            values = call("norms", tensors)[0]
        else:
            values = jt.concat([jt.sqrt((x * x).sum()).reshape(1) for x in tensors])
    return values.numpy().astype(np.float64)


def clip_scale(norm: float, most: Optional[float]) -> float:
    """The factor that brings a norm down to ``most``, 1 where it is not larger."""
    return 1.0 if most is None or norm <= most else most / norm


def _zeros(like: jt.Var) -> jt.Var:
    zeros = jt.zeros(like.shape).stop_grad()
    zeros.sync()
    return zeros
