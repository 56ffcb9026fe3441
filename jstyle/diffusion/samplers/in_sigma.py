"""The samplers that step along dx/dsigma = eps, some with a second call in the middle of a step, some with fresh noise.

Inside, x stands in the scale of arXiv 2206.00364: x / sqrt(alpha_bar) = x0 + sigma eps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Optional

from jstyle.diffusion.samplers.levels import between, midpoint_levels, sigma, sigma_levels
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
)
from jstyle.diffusion.schedule import CLEAN, Level, Prediction, Schedule
from jstyle.runtime import jt


def euler(
    denoiser: Denoiser,
    x: jt.Var,
    schedule: Schedule,
    steps: int,
    *,
    start: int = 0,
    spacing: Optional[str] = None,
    after_step: Optional[AfterStep] = None,
) -> Steps:
    """Euler's method over dx/dsigma = eps (arXiv 2206.00364, algorithm 2 without churn and correction).

    Raises InputError for steps or start out of range.
    """
    levels = take_levels(schedule, "euler", sigma_levels(schedule, steps, spacing), start)
    for index, (level, next_level) in enumerate(pair_levels(levels), start):
        prediction = denoiser(x, level, index)
        change = (sigma(next_level) - sigma(level)) * prediction.eps
        x = _shift(x, level, next_level, change)
        step = finish_step(index, level, next_level, x, prediction.x0, after_step)
        x = yield from hand_over(step)


def euler_a(
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
    """Euler's method down to less than the next sigma, then noise up to it (k-diffusion's `sample_euler_ancestral`).

    The last step adds no noise. Raises InputError for steps or start out of range, and without a source of noise.
    """
    levels = take_levels(schedule, "euler_a", sigma_levels(schedule, steps, spacing), start)
    for index, (level, next_level) in enumerate(pair_levels(levels), start):
        prediction = denoiser(x, level, index)
        down, up = split_sigma(sigma(level), sigma(next_level))
        change = (down - sigma(level)) * prediction.eps
        if next_level is not CLEAN:
            change = change + up * draw_noise(noise, index)
        step = finish_step(index, level, next_level, _shift(x, level, next_level, change), prediction.x0, after_step)
        x = yield from hand_over(step)


def split_sigma(here: float, there: float) -> tuple[float, float]:
    """The sigma to go down to, and that of the noise which leads up again to ``there`` (eta 1, as in DDPM)."""
    up = min(there, there * max(0.0, 1 - (there / here) ** 2) ** 0.5)
    return (there**2 - up**2) ** 0.5, up


@dataclass(frozen=True)
class TwoCalls:
    """How a step of two calls is taken: by ``down`` in sigma along the first call's eps to ``middle``, then anew.

    From where the step began, the second goes by ``down_after`` along a slope made of both calls. ``up`` and
    ``up_after`` are the sigmas of the noise that is added after each.
    """

    middle: Level
    down: float
    down_after: float
    up: float = 0.0
    up_after: float = 0.0


Plan = Callable[[Level, Level], TwoCalls]
# (the first call's prediction, the second's, x / sqrt(alpha_bar) and its sigma where the step began) -> dx/dsigma
Slope = Callable[[Prediction, Prediction, jt.Var, float], jt.Var]


def plan_heun(schedule: Schedule) -> Plan:
    """`heun`'s steps: to the next level, from both of whose ends the slope is taken."""

    def plan(level: Level, next_level: Level) -> TwoCalls:
        down = sigma(next_level) - sigma(level)
        return TwoCalls(next_level, down, down)

    return plan


def plan_kdpm2(schedule: Schedule) -> Plan:
    """`kdpm2`'s steps: by way of the geometric middle."""

    def plan(level: Level, next_level: Level) -> TwoCalls:
        middle = between(schedule, sigma(level), sigma(next_level))
        return TwoCalls(middle, sigma(middle) - sigma(level), sigma(next_level) - sigma(level))

    return plan


def plan_kdpm2_a(schedule: Schedule) -> Plan:
    """`kdpm2_a`'s steps: by way of the geometric middle down to less than the next sigma, then noise up to it."""

    def plan(level: Level, next_level: Level) -> TwoCalls:
        here = sigma(level)
        down, up = split_sigma(here, sigma(next_level))
        middle = between(schedule, here, down)
        return TwoCalls(middle, sigma(middle) - here, down - here, up_after=up)

    return plan


def plan_dpmpp_sde(schedule: Schedule) -> Plan:
    """`dpmpp_sde`'s steps: to the geometric middle and to the next sigma, each by less and with noise up again."""

    def plan(level: Level, next_level: Level) -> TwoCalls:
        here = sigma(level)
        middle = between(schedule, here, sigma(next_level))
        (down, up), (down_after, up_after) = split_sigma(here, sigma(middle)), split_sigma(here, sigma(next_level))
        return TwoCalls(middle, down - here, down_after - here, up, up_after)

    return plan


def list_calls(levels: Sequence[Level], plan: Plan) -> list[Level]:
    """The levels fed by steps of two calls: each step's own and its middle, of the last its own alone."""
    calls = [
        [level] if next_level is CLEAN else [level, plan(level, next_level).middle]
        for level, next_level in pair_levels(levels)
    ]
    return [level for pair in calls for level in pair]


def run_two_calls(
    denoiser: Denoiser,
    x: jt.Var,
    levels: Sequence[Level],
    plan: Plan,
    slope: Slope,
    start: int,
    noise: Optional[Noise],
    after_step: Optional[AfterStep],
) -> Steps:
    """Steps of two calls each, a Step a call; the last, down to no noise, is one of Euler's."""
    index = start
    for level, next_level in pair_levels(levels):
        first = denoiser(x, level, index)
        jt.sync([first.eps])
        if next_level is CLEAN:
            change = -sigma(level) * first.eps
            yield finish_step(index, level, CLEAN, _shift(x, level, CLEAN, change), first.x0, after_step)
            return
        step = plan(level, next_level)
        change = step.down * first.eps
        drawn = draw_noise(noise, index) if step.up else None
        half = _shift(x, level, step.middle, change if drawn is None else change + step.up * drawn)
        reached = finish_step(index, level, step.middle, half, first.x0, after_step)
        half = yield from hand_over(reached)

        second = denoiser(half, step.middle, index + 1)
        change = step.down_after * slope(first, second, x / level.alpha_bar**0.5, sigma(level))
        if step.up_after:
            fresh = draw_noise(noise, index + 1)
            whole = fresh if drawn is None else _join_noise(drawn, fresh, level, step.middle, next_level)
            change = change + step.up_after * whole
        moved = _shift(x, level, next_level, change)
        done = finish_step(index + 1, step.middle, next_level, moved, second.x0, after_step)
        x, index = (yield from hand_over(done)), index + 2


def heun(
    denoiser: Denoiser,
    x: jt.Var,
    schedule: Schedule,
    steps: int,
    *,
    start: int = 0,
    spacing: Optional[str] = None,
    after_step: Optional[AfterStep] = None,
) -> Steps:
    """Heun's method: a step of Euler's, then the mean of the slopes at its two ends (arXiv 2206.00364, algorithm 1).

    Raises InputError for steps or start out of range.
    """

    def slope(first: Prediction, second: Prediction, x: jt.Var, here: float) -> jt.Var:
        return 0.5 * (first.eps + second.eps)

    levels = take_levels(schedule, "heun", sigma_levels(schedule, steps, spacing), start)
    return run_two_calls(denoiser, x, levels, plan_heun(schedule), slope, start, None, after_step)


def _slope_of_the_second(first: Prediction, second: Prediction, x: jt.Var, here: float) -> jt.Var:
    return second.eps


def kdpm2(
    denoiser: Denoiser,
    x: jt.Var,
    schedule: Schedule,
    steps: int,
    *,
    start: int = 0,
    spacing: Optional[str] = None,
    after_step: Optional[AfterStep] = None,
) -> Steps:
    """DPM-Solver-2 in sigma: along the slope at the geometric middle of a step (k-diffusion's `sample_dpm_2`).

    Raises InputError for steps or start out of range.
    """
    levels = take_levels(schedule, "kdpm2", midpoint_levels(schedule, steps, spacing), start)
    return run_two_calls(denoiser, x, levels, plan_kdpm2(schedule), _slope_of_the_second, start, None, after_step)


def kdpm2_a(
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
    """`kdpm2` down to less than the next sigma, then noise up to it (k-diffusion's `sample_dpm_2_ancestral`).

    Raises InputError for steps or start out of range, and without a source of noise.
    """
    levels = take_levels(schedule, "kdpm2_a", midpoint_levels(schedule, steps, spacing), start)
    return run_two_calls(denoiser, x, levels, plan_kdpm2_a(schedule), _slope_of_the_second, start, noise, after_step)


def dpmpp_sde(
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
    """DPM-Solver++ for the SDE, in single steps of two calls (k-diffusion's `sample_dpmpp_sde`, arXiv 2211.01095).

    The noise of both calls is one Brownian path in sigma. Raises InputError for steps or start out of range, and
    without a source of noise.
    """

    def slope(first: Prediction, second: Prediction, x: jt.Var, here: float) -> jt.Var:
        return (x - second.x0) / here

    levels = take_levels(schedule, "dpmpp_sde", sigma_levels(schedule, steps, spacing), start)
    return run_two_calls(denoiser, x, levels, plan_dpmpp_sde(schedule), slope, start, noise, after_step)


def _join_noise(first: jt.Var, second: jt.Var, level: Level, middle: Level, next_level: Level) -> jt.Var:
    """Unit noise of the whole step from that of its two parts, as a Brownian path in sigma has it."""
    share = (sigma(level) - sigma(middle)) / (sigma(level) - sigma(next_level))
    return share**0.5 * first + (1 - share) ** 0.5 * second


def _shift(x: jt.Var, level: Level, next_level: Level, change: jt.Var) -> jt.Var:
    """x at the next level, after ``change`` in the scale in which x is x0 + sigma eps."""
    return next_level.alpha_bar**0.5 * (x / level.alpha_bar**0.5 + change)
