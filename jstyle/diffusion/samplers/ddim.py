"""The one-step samplers: DDIM, its inversion, and DDPM."""

from __future__ import annotations

from collections.abc import Iterator

from jstyle.diffusion.samplers.step import (
    AfterStep,
    Denoiser,
    Noise,
    Step,
    drawn,
    finished,
    remaining,
    to_clean,
    transfer,
)
from jstyle.diffusion.schedule import CLEAN, Level, Schedule
from jstyle.errors import InputError
from jstyle.runtime import jt

INVERSIONS = ("current", "target")


def training_levels(schedule: Schedule, steps: int, spacing: str | None = None) -> list[Level]:
    """The levels that ddim, ddpm and pndm feed, noisiest first; leading where nobody says otherwise."""
    return schedule.levels(steps, spacing)


def _posterior_variance(alpha_bar: float, next_alpha_bar: float) -> float:
    """The variance of x at the next level given x at this one and x0 (arXiv 2006.11239, eq. 7)."""
    return (1 - next_alpha_bar) / (1 - alpha_bar) * (1 - alpha_bar / next_alpha_bar)


def ddim(
    denoiser: Denoiser,
    x: jt.Var,
    schedule: Schedule,
    steps: int,
    *,
    start: int = 0,
    spacing: str | None = None,
    eta: float = 0.0,
    noise: Noise | None = None,
    after_step: AfterStep | None = None,
) -> Iterator[Step]:
    """DDIM (arXiv 2010.02502, eq. 12): deterministic at eta 0, as noisy as DDPM at eta 1.

    Each step goes 1000 // steps training times down, whatever the spacing, as diffusers does; under linspace
    the level reached is therefore not quite the one fed next. InputError: steps, start or eta out of range.
    """
    if not 0 <= eta <= 1:
        raise InputError(f"eta must be from 0 to 1, not {eta}")
    stride = schedule.stride(steps)
    for index, level in enumerate(remaining(training_levels(schedule, steps, spacing), start), start):
        next_level = schedule.level(level.t - stride)
        prediction = denoiser(x, level, index)
        x0 = schedule.clip(prediction.x0)
        variance = eta**2 * _posterior_variance(level.alpha_bar, next_level.alpha_bar)
        x = next_level.alpha_bar**0.5 * x0 + (1 - next_level.alpha_bar - variance) ** 0.5 * prediction.eps
        if variance > 0:
            x = x + variance**0.5 * drawn(noise, index)
        step = finished(index, level, next_level, x, x0, after_step)
        x = step.x
        yield step


def ddpm(
    denoiser: Denoiser,
    x: jt.Var,
    schedule: Schedule,
    steps: int,
    *,
    start: int = 0,
    spacing: str | None = None,
    noise: Noise | None = None,
    after_step: AfterStep | None = None,
) -> Iterator[Step]:
    """Ancestral sampling (DDPM, arXiv 2006.11239, eq. 6 and 7) over the levels fed.

    The last step adds no noise. InputError: steps or start out of range, or no noise given.
    """
    levels = remaining(training_levels(schedule, steps, spacing), start)
    for index, (level, next_level) in enumerate(to_clean(levels), start):
        x0 = schedule.clip(denoiser(x, level, index).x0)
        alpha = level.alpha_bar / next_level.alpha_bar
        x0_part = next_level.alpha_bar**0.5 * (1 - alpha) / (1 - level.alpha_bar)
        x_part = alpha**0.5 * (1 - next_level.alpha_bar) / (1 - level.alpha_bar)
        x = x0_part * x0 + x_part * x
        if next_level is not CLEAN:
            x = x + _posterior_variance(level.alpha_bar, next_level.alpha_bar) ** 0.5 * drawn(noise, index)
        step = finished(index, level, next_level, x, x0, after_step)
        x = step.x
        yield step


def _inversion_path(
    schedule: Schedule, steps: int, spacing: str | None, convention: str
) -> list[tuple[Level, Level, Level]]:
    """(the level x stands at, the level fed, the level reached) of every inversion step."""
    fed = training_levels(schedule, steps, spacing)[::-1]
    if convention == "current":
        reached = [*fed[1:], schedule.level(schedule.config.num_train_timesteps - 1)]
        return list(zip(fed, fed, reached))
    if convention == "target":
        stride = schedule.stride(steps)
        return [(schedule.level(level.t - stride), level, level) for level in fed]
    raise InputError(f"inversion convention {convention!r} is not known; it must be one of {', '.join(INVERSIONS)}")


def ddim_invert(
    denoiser: Denoiser,
    x: jt.Var,
    schedule: Schedule,
    steps: int,
    convention: str = "current",
    *,
    spacing: str | None = None,
    after_step: AfterStep | None = None,
) -> Iterator[Step]:
    """DDIM run backwards, from a clean x to noise, through the times that `ddim` feeds.

    `convention` says where eps is taken: "current" at the level x stands at, the last step reaching the last
    training time (StyleID's code); "target" at the level the step reaches (Style Aligned's and diffusers').
    The network is always read at the time it was fed; only the step itself knows where x stands.
    InputError: steps out of range or an unknown convention.
    """
    for index, (level, fed, next_level) in enumerate(_inversion_path(schedule, steps, spacing, convention)):
        eps = denoiser(x, fed, index).eps
        x, x0 = transfer(x, eps, level.alpha_bar, next_level.alpha_bar)
        step = finished(index, fed, next_level, x, x0, after_step)
        x = step.x
        yield step
