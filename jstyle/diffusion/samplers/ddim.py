"""The one-step samplers: DDIM, its inversion, and DDPM."""

from __future__ import annotations

from typing import Optional

from jstyle.diffusion.samplers.levels import training_levels
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
    solve_backwards,
    take_levels,
    take_steps,
    transfer,
)
from jstyle.diffusion.schedule import CLEAN, Level, Schedule
from jstyle.errors import InputError
from jstyle.runtime import jt

INVERSIONS = ("current", "target")


def _posterior_variance(alpha_bar: float, next_alpha_bar: float) -> float:
    """The variance of x at the next level, given x0 and x at this level (arXiv 2006.11239, eq. 7)."""
    return (1 - next_alpha_bar) / (1 - alpha_bar) * (1 - alpha_bar / next_alpha_bar)


def ddim(
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
    """DDIM (arXiv 2010.02502, eq. 12): deterministic at eta 0, as noisy as DDPM at eta 1.

    Each step goes down 1000 // steps training times, whatever the spacing, as diffusers does; with linspace
    spacing the level reached is therefore not quite the one fed next. Raises InputError for steps, start or eta
    out of range.
    """
    check_eta(eta)
    stride, fed = schedule.stride(steps), training_levels(schedule, steps, spacing)
    for index, level in enumerate(take_levels(schedule, "ddim", fed, start), start):
        next_level = schedule.level(level.t - stride)
        prediction = denoiser(x, level, index)
        x0 = schedule.clip(prediction.x0)
        variance = eta**2 * _posterior_variance(level.alpha_bar, next_level.alpha_bar)
        x = next_level.alpha_bar**0.5 * x0 + (1 - next_level.alpha_bar - variance) ** 0.5 * prediction.eps
        if variance > 0:
            x = x + variance**0.5 * draw_noise(noise, index)
        step = finish_step(index, level, next_level, x, x0, after_step)
        x = yield from hand_over(step)


def ddpm(
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
    """Ancestral sampling (DDPM, arXiv 2006.11239, eq. 6 and 7) over the levels fed.

    The last step adds no noise. Raises InputError for steps or start out of range, and without a source of noise.
    """
    levels = take_levels(schedule, "ddpm", training_levels(schedule, steps, spacing), start)
    for index, (level, next_level) in enumerate(pair_levels(levels), start):
        x0 = schedule.clip(denoiser(x, level, index).x0)
        alpha = level.alpha_bar / next_level.alpha_bar
        x0_part = next_level.alpha_bar**0.5 * (1 - alpha) / (1 - level.alpha_bar)
        x_part = alpha**0.5 * (1 - next_level.alpha_bar) / (1 - level.alpha_bar)
        x = x0_part * x0 + x_part * x
        if next_level is not CLEAN:
            x = x + _posterior_variance(level.alpha_bar, next_level.alpha_bar) ** 0.5 * draw_noise(noise, index)
        step = finish_step(index, level, next_level, x, x0, after_step)
        x = yield from hand_over(step)


def _inversion_path(
    schedule: Schedule, steps: int, spacing: Optional[str], convention: str
) -> list[tuple[Level, Level, Level]]:
    """(the level at which x stands, the level fed, the level reached) of every inversion step."""
    fed = take_levels(schedule, "ddim", training_levels(schedule, steps, spacing))[::-1]
    if convention == "current":
        if fed[-1].alpha_bar == 0:
            raise schedule.config.error(
                f"rescale_betas_zero_snr leaves nothing of a picture at time {fed[-1].t:g}, from where the inversion "
                "'current' would go on; use the inversion target, or timestep_spacing leading"
            )
        reached = [*fed[1:], schedule.level(schedule.config.num_train_timesteps - 1)]
        return list(zip(fed, fed, reached))
    if convention == "target":
        stride = schedule.stride(steps)
        return [(schedule.level(level.t - stride), level, level) for level in fed]
    raise InputError(f"inversion convention {convention!r} is not known; it must be one of {', '.join(INVERSIONS)}")


def invert_step(
    denoiser: Denoiser, x: jt.Var, level: Level, next_level: Level, step: int, *, fed: Level, fixed_point: int = 0
) -> tuple[jt.Var, jt.Var]:
    """One step back, from x at a level to the noisier next one, and the clean sample at which its prediction aims.

    The network is fed x at ``fed``'s time, and ``fixed_point`` times where the step has led (`solve_backwards`).
    """
    reached, x0 = transfer(x, denoiser(x, fed, step).eps, level.alpha_bar, next_level.alpha_bar)
    for _ in range(fixed_point):
        reached.sync()
        prediction = denoiser(reached, fed, step)
        reached, x0 = solve_backwards(x, prediction, level.alpha_bar, next_level.alpha_bar), prediction.x0
    return reached, x0


def ddim_invert(
    denoiser: Denoiser,
    x: jt.Var,
    schedule: Schedule,
    steps: int,
    convention: str = "current",
    *,
    start: int = 0,
    spacing: Optional[str] = None,
    fixed_point: int = 0,
    after_step: Optional[AfterStep] = None,
) -> Steps:
    """DDIM run backwards, from a clean x to noise, through the times that `ddim` feeds.

    `convention` says where eps is taken: "current" at the level where x stands, with a last step to the last
    training time (StyleID's code); "target" at the level that the step reaches (Style Aligned's and diffusers').
    The network's output is always read at the time that was fed; only the step itself uses the level of x.
    `fixed_point` calls more in each step look for the x from which `ddim` comes back to where the step began
    (`solve_backwards`): with "target" alone, as "current" is not fed where it arrives.
    Raises InputError for steps or start out of range, and for a convention that is unknown or has no `fixed_point`.
    """
    path = take_steps(_inversion_path(schedule, steps, spacing, convention), start)
    if fixed_point and convention != "target":
        raise InputError("fixed_point needs the inversion target: current is not fed the level at which it arrives")
    for index, (level, fed, next_level) in enumerate(path, start):
        reached, x0 = invert_step(denoiser, x, level, next_level, index, fed=fed, fixed_point=fixed_point)
        step = finish_step(index, fed, next_level, reached, x0, after_step)
        x = yield from hand_over(step)
