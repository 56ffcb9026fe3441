"""The samplers of models that were distilled to a few steps: LCM (arXiv 2310.04378) and TCD (arXiv 2402.19159)."""

from __future__ import annotations

import math
from typing import Optional

import numpy as np

from jstyle.diffusion.samplers.step import (
    AfterStep,
    Denoiser,
    Noise,
    Steps,
    check_eta,
    draw_noise,
    finish_step,
    hand_over,
    pair_levels,
    take_levels,
)
from jstyle.diffusion.schedule import CLEAN, Level, Schedule, diffuse
from jstyle.errors import InputError
from jstyle.runtime import jt

_SIGMA_DATA = 0.5  # the spread of data that a consistency model assumes (arXiv 2303.01469, appendix C)


def distilled_levels(schedule: Schedule, steps: int, spacing: Optional[str] = None) -> list[Level]:
    """The levels that lcm and tcd feed: of those that the distillation visited, every so many, noisiest first.

    The checkpoint's ``original_inference_steps`` says how many it visited; its spacing counts only where a caller names
    one, as in diffusers. Raises InputError for more steps than were visited.
    """
    if schedule.chosen:
        return list(schedule.chosen)
    if spacing is not None:
        return schedule.levels(steps, spacing)
    visited = schedule.config.original_inference_steps
    stride, _ = schedule.stride(visited), schedule.stride(steps)
    if steps > visited:
        raise InputError(
            f"a model that was distilled from {visited} steps takes at most as many, not {steps}; 4 to 8 are usual"
        )
    indices = np.floor(np.linspace(0, visited, steps, endpoint=False))
    return [schedule.level(float((visited - index) * stride - 1)) for index in indices]


def lcm(
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
    """Multistep consistency sampling (arXiv 2310.04378, algorithm 3): to a clean sample, and noised to the next level.

    The last step adds no noise. Raises InputError for steps or start out of range, and without a source of noise.
    """
    levels = take_levels(schedule, "lcm", distilled_levels(schedule, steps, spacing), start)
    for index, (level, next_level) in enumerate(pair_levels(levels), start):
        keep, change = weigh_boundary(level.t * schedule.config.timestep_scaling)
        clean = change * schedule.clip(denoiser(x, level, index).x0) + keep * x
        last = next_level is CLEAN
        x = clean if last else diffuse(clean, draw_noise(noise, index), next_level.alpha_bar)
        step = finish_step(index, level, next_level, x, clean, after_step)
        x = yield from hand_over(step)


def weigh_boundary(time: float) -> tuple[float, float]:
    """The shares of x and of the prediction in a consistency model's answer at a scaled time: at 0 it is x itself.

    arXiv 2310.04378, eq. 9: c_skip and c_out.
    """
    power = time**2 + _SIGMA_DATA**2
    return _SIGMA_DATA**2 / power, time / power**0.5


def tcd(
    denoiser: Denoiser,
    x: jt.Var,
    schedule: Schedule,
    steps: int,
    *,
    start: int = 0,
    spacing: Optional[str] = None,
    eta: float = 0.0,
    noise: Optional[Noise] = None,
    after_step: Optional[AfterStep] = None,
) -> Steps:
    """Strategic stochastic sampling (arXiv 2402.19159, algorithm 4), deterministic at eta 0, its gamma.

    A step goes down to (1 - eta) of the next time and is noised up to that one. As in diffusers the last one ends at
    the first training time. Raises InputError for steps, start or eta out of range, and without a source of noise.
    """
    check_eta(eta)
    levels = take_levels(schedule, "tcd", distilled_levels(schedule, steps, spacing), start)
    for index, (level, next_level) in enumerate(zip(levels, [*levels[1:], schedule.level(0)]), start):
        prediction = denoiser(x, level, index)
        below = schedule.level(math.floor((1 - eta) * next_level.t)) if eta else next_level
        x = diffuse(prediction.x0, prediction.eps, below.alpha_bar)
        if eta and index < start + len(levels) - 1:
            share = next_level.alpha_bar / below.alpha_bar
            x = share**0.5 * x + (1 - share) ** 0.5 * draw_noise(noise, index)
        step = finish_step(index, level, next_level, x, prediction.x0, after_step)
        x = yield from hand_over(step)
