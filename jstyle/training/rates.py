"""Learning rates as functions of the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping


def constant(progress: float) -> float:
    """1 throughout."""
    return 1.0


def linear(progress: float) -> float:
    """From 1 to 0 in a straight line."""
    return 1.0 - progress


def cosine(progress: float) -> float:
    """From 1 to 0 along half a cosine (arXiv 1608.03983, eq. 5)."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


SCHEDULES: Mapping[str, Callable[[float], float]] = {"constant": constant, "linear": linear, "cosine": cosine}
"""The share of the peak rate at a progress from 0 (the warm-up is over) to 1 (the run is)."""


def rate_at(step: int, peak: float, schedule: str, steps: int, warmup: int = 0) -> float:
    """The rate of the update of this index, counted from 0, in a run of ``steps``.

    It rises in a straight line over ``warmup`` updates and then follows the schedule. No update has the rate 0.
    """
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return peak * SCHEDULES[schedule]((step - warmup) / (steps - warmup))
