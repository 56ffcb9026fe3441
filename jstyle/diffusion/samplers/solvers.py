"""Solvers in lambda = -log sigma (DPM-Solver++, UniPC) and in log sigma (DEIS), which remember earlier predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Optional

import numpy as np

from jstyle.diffusion.samplers.levels import even_solver_levels, sigma, solver_levels
from jstyle.diffusion.samplers.step import (
    AfterStep,
    Denoiser,
    Noise,
    Steps,
    draw_noise,
    finish_step,
    hand_over,
    pair_levels,
    take_levels,
    transfer,
)
from jstyle.diffusion.schedule import CLEAN, Level, Schedule
from jstyle.runtime import jt

# Runs of fewer steps end with steps of lower order, as diffusers' `lower_order_final` has it.
_SHORT = 15


def _step_in_lambda(level: Level, next_level: Level) -> float:
    """h = lambda' - lambda, infinite for the step to the clean end."""
    return math.inf if next_level is CLEAN else math.log(sigma(level) / sigma(next_level))


def _advance(x: jt.Var, level: Level, next_level: Level, h: float, target: jt.Var) -> jt.Var:
    """The exponential integrator's step towards ``target``, an x0 (arXiv 2211.01095, eq. 14 at order 1)."""
    keep = ((1 - next_level.alpha_bar) / (1 - level.alpha_bar)) ** 0.5
    return keep * x - next_level.alpha_bar**0.5 * math.expm1(-h) * target


def _extrapolate(x0: jt.Var, last_x0: jt.Var, h: float, last_h: float) -> jt.Var:
    """x0 in the middle of a step h in lambda, along the line through it and the one a step ``last_h`` before."""
    return x0 + h / (2 * last_h) * (x0 - last_x0)


def dpmpp_2m(
    denoiser: Denoiser,
    x: jt.Var,
    schedule: Schedule,
    steps: int,
    *,
    start: int = 0,
    spacing: Optional[str] = None,
    after_step: Optional[AfterStep] = None,
) -> Steps:
    """DPM-Solver++ 2M (arXiv 2211.01095, algorithm 2); its first and its last step are of first order.

    Raises InputError for steps or start out of range.
    """
    levels = take_levels(schedule, "dpmpp_2m", solver_levels(schedule, steps, spacing), start)
    last_x0, last_h = None, math.nan
    for index, (level, next_level) in enumerate(pair_levels(levels), start):
        prediction = denoiser(x, level, index)
        h = _step_in_lambda(level, next_level)
        target = prediction.x0
        if last_x0 is not None and next_level is not CLEAN:
            target = _extrapolate(target, last_x0, h, last_h)
        x = _advance(x, level, next_level, h, target)
        step = finish_step(index, level, next_level, x, prediction.x0, after_step)
        last_x0, last_h = step.x0, h
        x = yield from hand_over(step)


def dpmpp_2m_sde(
    denoiser: Denoiser,
    x: jt.Var,
    schedule: Schedule,
    steps: int,
    *,
    start: int = 0,
    spacing: Optional[str] = None,
    noise: Optional[Noise] = None,
    after_step: Optional[AfterStep] = None,
) -> Steps:
    """DPM-Solver++ 2M for the SDE (arXiv 2211.01095, eq. 18 and appendix; diffusers' sde-dpmsolver++ with midpoints).

    The last step adds no noise. Raises InputError for steps or start out of range, and without a source of noise.
    """
    levels = take_levels(schedule, "dpmpp_2m_sde", solver_levels(schedule, steps, spacing), start)
    last_x0, last_h = None, math.nan
    for index, (level, next_level) in enumerate(pair_levels(levels), start):
        prediction = denoiser(x, level, index)
        h = _step_in_lambda(level, next_level)
        target = prediction.x0
        if last_x0 is not None and next_level is not CLEAN:
            target = _extrapolate(target, last_x0, h, last_h)
        keep = ((1 - next_level.alpha_bar) / (1 - level.alpha_bar)) ** 0.5 * math.exp(-h)
        x = keep * x - next_level.alpha_bar**0.5 * math.expm1(-2 * h) * target
        if next_level is not CLEAN:
            spread = (-(1 - next_level.alpha_bar) * math.expm1(-2 * h)) ** 0.5
            x = x + spread * draw_noise(noise, index)
        step = finish_step(index, level, next_level, x, prediction.x0, after_step)
        last_x0, last_h = step.x0, h
        x = yield from hand_over(step)


def dpmpp_3m(
    denoiser: Denoiser,
    x: jt.Var,
    schedule: Schedule,
    steps: int,
    *,
    start: int = 0,
    spacing: Optional[str] = None,
    after_step: Optional[AfterStep] = None,
) -> Steps:
    """DPM-Solver++ 3M: as 2M, with three remembered predictions (arXiv 2206.00927, appendix B.3, for x0).

    It begins at first and second order; the last step is of first order, the last but one of fewer than 15 of second.
    Raises InputError for steps or start out of range.
    """
    levels = take_levels(schedule, "dpmpp_3m", solver_levels(schedule, steps, spacing), start)
    x0s: list[jt.Var] = []
    hs: list[float] = []
    for index, (level, next_level) in enumerate(pair_levels(levels), start):
        prediction = denoiser(x, level, index)
        h = _step_in_lambda(level, next_level)
        x0s, hs = [prediction.x0, *x0s[:2]], [h, *hs[:2]]
        is_last_but_one = steps < _SHORT and index == steps - 2
        target = x0s[0]
        if next_level is not CLEAN and len(x0s) > 1:
            slope = h / hs[1] * (x0s[0] - x0s[1])
            if len(x0s) == 2 or is_last_but_one:
                target = target + 0.5 * slope
            else:
                target = target + _bend_target(slope, h / hs[2] * (x0s[1] - x0s[2]), h, hs[1], hs[2])
        x = _advance(x, level, next_level, h, target)
        step = finish_step(index, level, next_level, x, prediction.x0, after_step)
        x0s[0] = step.x0
        x = yield from hand_over(step)


def _bend_target(slope: jt.Var, earlier: jt.Var, h: float, last_h: float, earlier_h: float) -> jt.Var:
    """What 3M adds to x0: the first and second differences of the predictions, weighted for a step h in lambda."""
    phi = math.expm1(-h)
    bend = (slope - earlier) * (h / (last_h + earlier_h))
    first = slope + last_h / h * bend
    return ((phi + h - h**2 / 2) / h**2 * bend - (phi / h + 1) * first) / phi


def dpmpp_2s(
    denoiser: Denoiser,
    x: jt.Var,
    schedule: Schedule,
    steps: int,
    *,
    start: int = 0,
    spacing: Optional[str] = None,
    after_step: Optional[AfterStep] = None,
) -> Steps:
    """DPM-Solver++ 2S (arXiv 2211.01095, algorithm 1): every second call takes the step of its pair anew, at order 2.

    The last call, and of an even number the last two, are of first order. Raises InputError for steps or start out of
    range.
    """
    levels = take_levels(schedule, "dpmpp_2s", even_solver_levels(schedule, steps, spacing), start)
    second_calls = range(1, steps - 1 - (steps % 2 == 0), 2)
    pair: Optional[tuple[jt.Var, Level, jt.Var]] = None  # x, its level and its x0 where the pair began
    for index, (level, next_level) in enumerate(pair_levels(levels), start):
        prediction = denoiser(x, level, index)
        if pair is not None and index in second_calls:
            from_x, from_level, from_x0 = pair
            h = _step_in_lambda(from_level, next_level)
            target = from_x0 + h / (2 * _step_in_lambda(from_level, level)) * (prediction.x0 - from_x0)
        else:
            from_x, from_level, target = x, level, prediction.x0
            h, pair = _step_in_lambda(level, next_level), (x, level, prediction.x0)
        moved = _advance(from_x, from_level, next_level, h, target)
        step = finish_step(index, level, next_level, moved, prediction.x0, after_step)
        x = yield from hand_over(step)


def deis(
    denoiser: Denoiser,
    x: jt.Var,
    schedule: Schedule,
    steps: int,
    *,
    start: int = 0,
    spacing: Optional[str] = None,
    after_step: Optional[AfterStep] = None,
) -> Steps:
    """DEIS of two slopes that are linear in log sigma (arXiv 2204.13902, section 3.3 and appendix B.2).

    As in diffusers it ends at the first training level rather than without noise, and along a curve of sigmas its last
    step stands still; the last of fewer than 15 steps is of first order. Raises InputError for steps or start out of
    range.
    """
    levels = take_levels(schedule, "deis", solver_levels(schedule, steps, spacing), start)
    end = levels[-1] if schedule.config.sigmas else schedule.level(0)
    last: Optional[tuple[float, jt.Var]] = None  # the sigma of the call before, and its eps
    for index, (level, next_level) in enumerate(zip(levels, [*levels[1:], end]), start):
        prediction = denoiser(x, level, index)
        if last is None or (index == steps - 1 and steps < _SHORT):
            x, _ = transfer(x, prediction.eps, level.alpha_bar, next_level.alpha_bar)
        else:
            here, there = sigma(level), sigma(next_level)
            change = _integrate_log(here, last[0], here, there) * prediction.eps
            change = change + _integrate_log(last[0], here, here, there) * last[1]
            x = next_level.alpha_bar**0.5 * (x / level.alpha_bar**0.5 + change)
        jt.sync([prediction.eps])
        step = finish_step(index, level, next_level, x, prediction.x0, after_step)
        last = sigma(level), prediction.eps
        x = yield from hand_over(step)


def _integrate_log(node: float, other: float, low: float, high: float) -> float:
    """The integral over sigma, from ``low`` to ``high``, of the line in log sigma that is 1 at node and 0 at other."""

    def primitive(value: float) -> float:
        return value * (math.log(value) - math.log(other) - 1) / (math.log(node) - math.log(other))

    return primitive(high) - primitive(low)


def unipc(
    denoiser: Denoiser,
    x: jt.Var,
    schedule: Schedule,
    steps: int,
    *,
    start: int = 0,
    spacing: Optional[str] = None,
    after_step: Optional[AfterStep] = None,
) -> Steps:
    """UniPC of order 2, bh2, on x0 (arXiv 2302.04867, algorithms 1 and 2): each call also corrects the step before it.

    Its first and its last step predict at first order. Raises InputError for steps or start out of range.
    """
    levels = take_levels(schedule, "unipc", solver_levels(schedule, steps, spacing), start)
    x0s: list[jt.Var] = []
    hs: list[float] = []
    begun, order = x, 1  # where the step before began, and the order of its prediction
    for index, (level, next_level) in enumerate(pair_levels(levels), start):
        prediction = denoiser(x, level, index)
        if x0s:
            before = levels[index - start - 1]
            target = _weigh_x0s([prediction.x0, *x0s], hs, _correct_weights(order, hs))
            x = _advance(begun, before, level, hs[0], target)
        order = min(len(x0s) + 1, 2, steps - index)
        h = _step_in_lambda(level, next_level)
        begun, x0s, hs = x, [prediction.x0, *x0s[:1]], [h, *hs[:1]]
        target = x0s[0] if order == 1 else _extrapolate(x0s[0], x0s[1], h, hs[1])
        jt.sync([begun])
        step = finish_step(index, level, next_level, _advance(x, level, next_level, h, target), x0s[0], after_step)
        x0s[0] = step.x0
        x = yield from hand_over(step)


def _correct_weights(order: int, hs: Sequence[float]) -> list[float]:
    """The weights of UniC's differences (arXiv 2302.04867, eq. 5): of the new prediction, and at order 2 the older."""
    if order == 1:
        return [0.5]
    h, ratio = -hs[0], -hs[1] / hs[0]
    phi = math.expm1(h)
    second = phi / h - 1
    third = second / h - 0.5
    older, new = np.linalg.solve([[1.0, 1.0], [ratio, 1.0]], [second / phi, 2 * third / phi])
    return [float(new), float(older)]


def _weigh_x0s(x0s: Sequence[jt.Var], hs: Sequence[float], weights: Sequence[float]) -> jt.Var:
    """UniC's target from the new prediction, the one where the step began, and the one before that."""
    target = x0s[1] + weights[0] * (x0s[0] - x0s[1])
    if len(weights) > 1:
        target = target + weights[1] * hs[0] / hs[1] * (x0s[1] - x0s[2])
    return target
