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
from jstyle.errors import InputError
from jstyle.runtime import jt

# Weights of the Adams-Bashforth rules for 1 to 4 remembered slopes, newest first.
_ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)

_RUNGE_KUTTA = (1 / 6, 1 / 3, 1 / 3, 1 / 6)
_RUNGE_KUTTA_STEPS = 3


def _weighted_sum(weights: Sequence[float], terms: Sequence[jt.Var]) -> jt.Var:
    total = weights[0] * terms[0]
    for weight, term in zip(weights[1:], terms[1:]):
        total = total + weight * term
    return total


def _remember(output: jt.Var, outputs: Sequence[jt.Var]) -> tuple[jt.Var, list[jt.Var]]:
    """The mean of an output and those before it, by Adams and Bashforth, and the outputs that are remembered."""
    kept = [output, *outputs[:3]]
    return _weighted_sum(_ADAMS_BASHFORTH[len(kept) - 1], kept), kept


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
    for index, fed in enumerate(repeat_second(schedule, levels, steps) if first_twice else levels):
        output = from_prediction(denoiser(x, fed, start + index), fed.alpha_bar, kind)
        if first_twice and index == 1:
            level, next_level = schedule.level(fed.t + stride), fed
            x, mean = first_x, 0.5 * (output + outputs[0])
        else:
            level, next_level = fed, schedule.level(fed.t - stride)
            mean, outputs = _remember(output, outputs)
        eps = to_prediction(mean, x, level.alpha_bar, kind).eps
        x, x0 = transfer(x, eps, level.alpha_bar, next_level.alpha_bar)
        jt.sync([output])
        step = finish_step(start + index, fed, next_level, x, x0, after_step)
        x = yield from hand_over(step)


def repeat_second(schedule: Schedule, levels: Sequence[Level], steps: int) -> list[Level]:
    """The levels that `pndm` feeds, in its order."""
    return [*levels[:2], *levels[1:]]


def pndm_rk(
    denoiser: Denoiser,
    x: jt.Var,
    schedule: Schedule,
    steps: int,
    *,
    start: int = 0,
    spacing: Optional[str] = None,
    after_step: Optional[AfterStep] = None,
) -> Steps:
    """`pndm` with its pseudo Runge-Kutta start (arXiv 2202.09778, eq. 9 and 13): the first three steps are four calls.

    Each of these goes from the step's beginning, to its middle twice, to its end along the last output, and to its end
    along the mean of all four. As in diffusers, the middle that is fed lies half a stride above the end, the sample
    for it half a stride below the beginning, and outputs are read at the level that the step leaves.
    Raises InputError for steps or start out of range, and for less than four steps.
    """
    stride, kind = schedule.stride(steps), schedule.prediction_type
    levels = take_levels(schedule, "pndm_rk", training_levels(schedule, steps, spacing), start)
    calls = list_runge_kutta(schedule, levels, steps)
    outputs: list[jt.Var] = []
    for index, fed in enumerate(calls, start):
        output = from_prediction(denoiser(x, fed, index), fed.alpha_bar, kind)
        step, part = divmod(index - start, len(_RUNGE_KUTTA))
        if step < _RUNGE_KUTTA_STEPS:
            if part == 0:
                first_x, level, mean, outputs = x, fed, 0 * output, [output, *outputs]
            mean = mean + _RUNGE_KUTTA[part] * output
            along = output if part < 3 else mean
            next_level = schedule.level(fed.t - (0 if part % 2 else stride // 2))
        else:
            first_x, level, next_level = x, fed, schedule.level(fed.t - stride)
            along, outputs = _remember(output, outputs)
        eps = to_prediction(along, first_x, level.alpha_bar, kind).eps
        x, x0 = transfer(first_x, eps, level.alpha_bar, next_level.alpha_bar)
        jt.sync([output, mean])
        taken = finish_step(index, fed, next_level, x, x0, after_step)
        x = yield from hand_over(taken)


def list_runge_kutta(schedule: Schedule, levels: Sequence[Level], steps: int) -> list[Level]:
    """The levels that `pndm_rk` feeds, in its order. Raises InputError where there are less than four steps."""
    if len(levels) <= _RUNGE_KUTTA_STEPS:
        raise InputError(
            f"pndm_rk begins with three steps of Runge and Kutta's and needs four, not {len(levels)}: take more, or "
            "the sampler pndm (PNDMScheduler with skip_prk_steps=True)"
        )
    half, calls = schedule.stride(steps) // 2, []
    for level, end in zip(levels[:_RUNGE_KUTTA_STEPS], levels[1:]):
        middle = schedule.level(end.t + half)
        calls += [level, middle, middle, end]
    return [*calls, *levels[_RUNGE_KUTTA_STEPS:]]


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
