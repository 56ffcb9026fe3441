"""Which levels samplers feed: training times in a spacing, or noise-to-signal ratios along a curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional

import numpy as np

from jstyle.diffusion.schedule import Level, Schedule, keep_some_signal
from jstyle.errors import InputError
from jstyle.settings.messages import show

# Times of "Align Your Steps" for Stable Diffusion 1.5 (arXiv 2404.14507, table 3); 0 ends the last of its ten steps.
_ALIGNED_TIMES = (999, 850, 736, 645, 545, 455, 343, 233, 124, 24, 0)
_KARRAS_RHO = 7.0
_BETA_SHAPE = 0.6


def sigma(level: Level) -> float:
    """The noise-to-signal ratio (arXiv 2206.00364): x / sqrt(alpha_bar) = x0 + sigma eps."""
    return (1 / level.alpha_bar - 1) ** 0.5


def training_levels(schedule: Schedule, steps: int, spacing: Optional[str] = None) -> list[Level]:
    """The levels that ddim, ddpm and pndm feed, noisiest first, by default in leading spacing."""
    return list(schedule.chosen) or schedule.levels(steps, spacing)


def inversion_levels(schedule: Schedule, steps: int, spacing: Optional[str] = None) -> list[Level]:
    """The levels that ddim_invert feeds: ddim's, cleanest first."""
    return training_levels(schedule, steps, spacing)[::-1]


def sigma_levels(schedule: Schedule, steps: int, spacing: Optional[str] = None) -> list[Level]:
    """The levels that euler and its relatives feed, by default in linspace spacing, with fractional times.

    A curve runs between the first and the last of them.
    """
    return _space(schedule, steps, spacing, lambda t: t)


def midpoint_levels(schedule: Schedule, steps: int, spacing: Optional[str] = None) -> list[Level]:
    """The levels that kdpm2 and kdpm2_a feed, but for those between: karras' times are rounded, as in diffusers."""
    return _space(schedule, steps, spacing, round_time if schedule.config.sigmas == "karras" else lambda t: t)


def solver_levels(schedule: Schedule, steps: int, spacing: Optional[str] = None) -> list[Level]:
    """The levels of the DPM-Solver++ family, deis and unipc: all but the last of steps + 1, or, trailing, `steps`.

    A curve runs through all sigmas of the schedule; the network is fed whole times, rounded for karras, else cut off,
    as in diffusers. Raises InputError where steps + 1 levels are more than there are.
    """
    schedule.stride(steps)
    karras = schedule.config.sigmas == "karras"
    last = len(schedule.alpha_bars) - 1
    first, clean = _above_zero([schedule.level(last), schedule.level(0)])
    bent = _bend(schedule, first, clean, steps, round_time if karras else cut_time)
    if bent:
        return bent
    spacing = schedule.spacing(spacing, "linspace")
    if spacing == "trailing":
        return _above_zero(schedule.levels(steps, spacing))
    if steps == len(schedule.alpha_bars):
        raise InputError(f"this sampler with {spacing} spacing needs fewer than {steps} steps")
    return _above_zero(schedule.levels(steps + 1, spacing)[:-1])


def even_solver_levels(schedule: Schedule, steps: int, spacing: Optional[str] = None) -> list[Level]:
    """The levels of dpmpp_2s, whose spacing is linspace whatever the checkpoint's is, as in diffusers."""
    return solver_levels(schedule, steps, spacing or "linspace")


def _space(schedule: Schedule, steps: int, spacing: Optional[str], fed: Callable[[float], float]) -> list[Level]:
    levels = _above_zero(schedule.levels(steps, schedule.spacing(spacing, "linspace"), whole=False))
    return _bend(schedule, levels[0], levels[-1], steps, fed) or levels


def _above_zero(levels: Sequence[Level]) -> list[Level]:
    """The levels, as diffusers has them where sigma must be a number (`NEARLY_NO_SIGNAL`)."""
    return [Level(level.t, float(keep_some_signal(level.alpha_bar))) for level in levels]


def round_time(t: float) -> float:
    """The nearest whole time, halves to the even one, as NumPy rounds."""
    return float(np.round(t))


def cut_time(t: float) -> float:
    """The whole time below, as diffusers 0.42.1 has it, whose 999 is 998.99997 in float32 and becomes 998."""
    return float(max(0, math.floor(t - 1e-3)))


def between(schedule: Schedule, first: float, second: float) -> Level:
    """The level whose sigma is the geometric mean of two sigmas above 0."""
    middle = math.sqrt(first * second)
    return Level(schedule.time_of(middle), 1 / (1 + middle**2))


def _bend(
    schedule: Schedule, first: Level, last: Level, steps: int, fed: Callable[[float], float]
) -> Optional[list[Level]]:
    """The levels that were chosen, or those along the schedule's curve from one to another; None where it has neither.

    ``fed`` makes the time that the network is fed of the one that belongs to a sigma.
    """
    if schedule.chosen:
        return _above_zero(schedule.chosen)
    name = schedule.config.sigmas
    if name is None:
        return None
    if name == "ays":
        return _align_levels(schedule, steps, fed)
    sigmas = _CURVES[name](sigma(first), sigma(last), steps)
    return [Level(float(fed(schedule.time_of(value))), 1 / (1 + value**2)) for value in sigmas]


def _align_levels(schedule: Schedule, steps: int, fed: Callable[[float], float]) -> list[Level]:
    """ "Align Your Steps": its ten steps, or as many along their sigmas, which are linear in the logarithm."""
    if steps == len(_ALIGNED_TIMES) - 1:
        return _above_zero([schedule.level(t) for t in _ALIGNED_TIMES[:-1]])
    logs = np.log([sigma(level) for level in _above_zero([schedule.level(t) for t in _ALIGNED_TIMES])])
    places = np.linspace(0, 1, steps + 1)[:-1]
    values = np.exp(np.interp(places, np.linspace(0, 1, len(logs)), logs))
    return [Level(float(fed(schedule.time_of(value))), float(1 / (1 + value**2))) for value in values]


def _bend_karras(highest: float, lowest: float, steps: int) -> list[float]:
    """Evenly spaced in sigma^(1/7) (arXiv 2206.00364, eq. 5)."""
    ends = highest ** (1 / _KARRAS_RHO), lowest ** (1 / _KARRAS_RHO)
    return [float(value**_KARRAS_RHO) for value in np.linspace(*ends, steps)]


def _bend_exponential(highest: float, lowest: float, steps: int) -> list[float]:
    """Evenly spaced in log sigma."""
    return [float(value) for value in np.exp(np.linspace(math.log(highest), math.log(lowest), steps))]


def _bend_beta(highest: float, lowest: float, steps: int) -> list[float]:
    """At even quantiles of the beta distribution B(0.6, 0.6), dense at both ends (arXiv 2407.12173)."""
    return [lowest + _beta_quantile(share) * (highest - lowest) for share in np.linspace(1, 0, steps)]


def _beta_quantile(share: float) -> float:
    """The value below which a variable of B(0.6, 0.6) falls with probability ``share``.

    The distribution is symmetric, and below its middle the series of its integral loses half a digit a term.
    """
    if share > 0.5:
        return 1 - _beta_quantile(1 - share)
    whole = math.gamma(_BETA_SHAPE) ** 2 / math.gamma(2 * _BETA_SHAPE)
    low, high = 0.0, 0.5
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _beta_integral(middle) < share * whole else (low, middle)
    return (low + high) / 2


def _beta_integral(x: float) -> float:
    """The integral of t^(a-1) (1-t)^(a-1) from 0 to x <= 1/2, a being the shape."""
    factor, total = 1.0, 0.0
    for n in range(60):
        total += factor / (_BETA_SHAPE + n)
        factor *= x * (n + 1 - _BETA_SHAPE) / (n + 1)
    return x**_BETA_SHAPE * total


_CURVES: Mapping[str, Callable[[float, float, int], list[float]]] = {
    "karras": _bend_karras,
    "exponential": _bend_exponential,
    "beta": _bend_beta,
}


def find_levels(schedule: Schedule, times: Any = None, sigmas: Any = None) -> list[Level]:
    """The levels at these training times, or at these noise-to-signal ratios, whose last, 0, is the clean end.

    Either is a list, or an array of any library's.
    Raises InputError for times and ratios that do not fall, that the schedule does not have, or that are no numbers.
    """
    if times is not None and sigmas is not None:
        raise InputError("give timesteps or sigmas, not both")
    if times is not None:
        fed = _check_falling("timesteps", times)
        if fed[-1] < 0:
            raise InputError(f"timesteps must not be negative, got {fed[-1]:g}")
        return [schedule.level(t) for t in fed]
    values = _check_falling("sigmas", sigmas)
    if values[-1] != 0 or len(values) == 1:
        raise InputError(f"sigmas must end with 0, the clean end, not with {values[-1]:g}")
    return [Level(schedule.time_of(value), 1 / (1 + value**2)) for value in values[:-1]]


def _check_falling(name: str, values: Any) -> list[float]:
    try:
        given = np.asarray(values.numpy() if hasattr(values, "numpy") else values)
        has_flags = isinstance(values, (list, tuple)) and any(isinstance(value, (bool, np.bool_)) for value in values)
        numbers = np.zeros(()) if has_flags or given.dtype.kind not in "fiu" else given.astype(np.float64)
    except (TypeError, ValueError):
        numbers = np.zeros(())
    if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
        raise InputError(f"{name} must be a list of numbers, not {show(values)}")
    if (np.diff(numbers) >= 0).any():
        raise InputError(f"{name} must fall from the first to the last, not {show(values)}")
    return numbers.tolist()
