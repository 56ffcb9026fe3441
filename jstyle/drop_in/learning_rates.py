"""``get_scheduler``: diffusers' learning rates by their names, for Jittor's optimizers.

Curves: https://github.com/huggingface/diffusers/blob/v0.42.1/src/diffusers/optimization.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

from jstyle.errors import InputError
from jstyle.runtime import jt
from jstyle.settings.messages import suggest
from jstyle.training.rates import constant, cosine, linear

Curve = Callable[[float], float]
"""The share of the peak rate at a progress from 0, the warm-up is over, to 1, the training is; and on beyond."""

_LAST_RATE = 1e-7  # at which "polynomial" ends
_WITHOUT_WARMUP = ("constant", "piecewise_constant")
_WITHOUT_END = (*_WITHOUT_WARMUP, "constant_with_warmup")


def get_scheduler(
    name: Any,
    optimizer: Any,
    step_rules: Optional[str] = None,
    num_warmup_steps: Optional[int] = None,
    num_training_steps: Optional[int] = None,
    num_cycles: int = 1,
    power: float = 1.0,
    last_epoch: int = -1,
) -> Any:
    """A schedule whose ``step()``, called after each update, sets the rate of the next; ``get_last_lr()`` tells it.

    ``name`` is "constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts" (``num_cycles``),
    "polynomial" (``power``; down to 1e-7) or "piecewise_constant", whose ``step_rules`` are like "1:10,0.1:20,0.01":
    the whole rate for 10 updates, a tenth until the 20th, then a hundredth. As in diffusers, and unlike in
    `jstyle.train`, a warm-up's first update has the rate 0. Raises InputError for another name, and where a number
    that it needs is missing.
    """
    curves: dict[str, Curve] = {
        "constant": constant,
        "constant_with_warmup": constant,
        "piecewise_constant": constant,
        "linear": lambda progress: max(0.0, linear(progress)),
        "cosine": cosine,
        "cosine_with_restarts": lambda progress: 0.0 if progress >= 1 else cosine(num_cycles * progress % 1.0),
        "polynomial": lambda progress: _decay(progress, power, float(optimizer.lr)),
    }
    name = getattr(name, "value", name)  # diffusers has an enumeration of them
    if name not in curves:
        raise InputError(f"there is no learning rate {name!r}; {suggest(name, curves)}")
    if name == "piecewise_constant":
        rules = _read_rules(step_rules)
        return jt.optim.LambdaLR(optimizer, lambda step: next(share for end, share in rules if step < end), last_epoch)
    warmup = _require(num_warmup_steps, "num_warmup_steps", name, name not in _WITHOUT_WARMUP)
    total = _require(num_training_steps, "num_training_steps", name, name not in _WITHOUT_END)
    warmup = 0 if name in _WITHOUT_WARMUP else warmup

    def share_at(step: int) -> float:
        if step < warmup:
            return step / warmup
        return curves[name]((step - warmup) / max(1, total - warmup))

    return jt.optim.LambdaLR(optimizer, share_at, last_epoch)


def _decay(progress: float, power: float, peak: float) -> float:
    """From 1 to ``_LAST_RATE`` along a power of what is left."""
    if peak <= _LAST_RATE:
        raise InputError(f"the optimizer's rate {peak:g} is not above {_LAST_RATE:g}, at which 'polynomial' ends")
    last = _LAST_RATE / peak
    return last + (1 - last) * max(0.0, linear(progress)) ** power


def _require(value: Optional[int], argument: str, name: str, is_needed: bool) -> int:
    if value is None and is_needed:
        raise InputError(f"the learning rate {name!r} needs {argument}")
    return 0 if value is None else int(value)


def _read_rules(rules: Optional[str]) -> list[tuple[float, float]]:
    """Until which step which share of the rate holds, in order."""
    *pieces, last = (rules or "").split(",")
    try:
        pairs = [piece.split(":") for piece in pieces]
        return sorted((float(end), float(share)) for share, end in pairs) + [(float("inf"), float(last))]
    except ValueError:
        raise InputError(f"step_rules must be like '1:10,0.1:20,0.01', not {rules!r}") from None
