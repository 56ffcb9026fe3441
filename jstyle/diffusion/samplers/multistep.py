"""The linear multistep samplers, which weigh the slopes of earlier steps: PNDM, LMS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Optional

from numpy.polynomial import polynomial

from jstyle.diffusion.samplers.levels import sigma, sigma_levels, training_levels
from jstyle.diffusion.samplers.step import (
    AfterStep,
    Denoiser,
    Steps,
    finish_step,
    hand_over,
    pair_levels,
    take_levels,
    transfer,
)
from jstyle.diffusion.schedule import Level, Schedule, from_prediction, to_prediction
from jstyle.runtime import jt

# Weights of the Adams-Bashforth rules for 1 to 4 remembered slopes, newest first.
_ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


def _weighted_sum(weights: Sequence[float], terms: Sequence[jt.Var]) -> jt.Var:
    total = weights[0] * terms[0]
    for weight, term in zip(weights[1:], terms[1:]):
        total = total + weight * term
    return total


def pndm(
    denoiser: Denoiser,
    x: jt.Var,
    schedule: Schedule,
    steps: int,
    *,
    start: int = 0,
    spacing: Optional[str] = None,
    after_step: Optional[AfterStep] = None,
    first_twice: bool = True,
) -> Steps:
    """Pseudo linear multistep (PLMS, arXiv 2202.09778, eq. 9 and 12) without its Runge-Kutta start.

    The first step is taken twice, the second time along the mean of the outputs at its two ends, so the
    denoiser is called, and a Step yielded, once more than there are steps. As in diffusers, the averages are
    over the network's own outputs (eps, v or x0), read at the level that the step leaves. Without ``first_twice``
    the first step is one of first order, and every level is fed once.
    Raises InputError for steps or start out of range.
    """
    stride, kind = schedule.stride(steps), schedule.prediction_type
    levels = take_levels(schedule, "pndm", training_levels(schedule, steps, spacing), start)
    first_x, outputs = x, []
    for index, fed in enumerate(repeat_second(levels) if first_twice else levels):
        output = from_prediction(denoiser(x, fed, start + index), fed.alpha_bar, kind)
        if first_twice and index == 1:
            level, next_level = schedule.level(fed.t + stride), fed
            x, mean = first_x, 0.5 * (output + outputs[0])
        else:
            level, next_level = fed, schedule.level(fed.t - stride)
            outputs = [output, *outputs[:3]]
            mean = _weighted_sum(_ADAMS_BASHFORTH[len(outputs) - 1], outputs)
        eps = to_prediction(mean, x, level.alpha_bar, kind).eps
        x, x0 = transfer(x, eps, level.alpha_bar, next_level.alpha_bar)
        jt.sync([output])
        step = finish_step(start + index, fed, next_level, x, x0, after_step)
        x = yield from hand_over(step)


def repeat_second(levels: Sequence[Level]) -> list[Level]:
    """The levels that `pndm` feeds, in its order."""
    return [*levels[:2], *levels[1:]]


def _integrate_lagrange(sigmas: Sequence[float], next_sigma: float) -> list[float]:
    """The integral, from the newest sigma to the next, of each Lagrange polynomial through `sigmas` (newest first)."""
    weights = []
    for j, node in enumerate(sigmas):
        others = [other for k, other in enumerate(sigmas) if k != j]
        basis = polynomial.polyfromroots(others) / math.prod(node - other for other in others)
        from_newest = polynomial.polyint(basis, lbnd=sigmas[0])
        weights.append(float(polynomial.polyval(next_sigma, from_newest)))
    return weights


def lms(
    denoiser: Denoiser,
    x: jt.Var,
    schedule: Schedule,
    steps: int,
    *,
    start: int = 0,
    spacing: Optional[str] = None,
    after_step: Optional[AfterStep] = None,
    order: int = 4,
) -> Steps:
    """Linear multistep over dx/dsigma = eps, in unequal steps of sigma (as k-diffusion's `sample_lms`).

    Raises InputError for steps or start out of range.
    """
    levels = take_levels(schedule, "lms", sigma_levels(schedule, steps, spacing), start)
    sigmas, slopes = [], []
    for index, (level, next_level) in enumerate(pair_levels(levels), start):
        prediction = denoiser(x, level, index)
        sigmas, slopes = [sigma(level), *sigmas[: order - 1]], [prediction.eps, *slopes[: order - 1]]
        change = _weighted_sum(_integrate_lagrange(sigmas, sigma(next_level)), slopes)
        x = next_level.alpha_bar**0.5 * (x / level.alpha_bar**0.5 + change)
        jt.sync([prediction.eps])
        step = finish_step(index, level, next_level, x, prediction.x0, after_step)
        x = yield from hand_over(step)
