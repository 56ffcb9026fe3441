"""Noise levels: a checkpoint's training schedule, and what a network's output says about x at a level.

Everywhere x = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps, the variance-preserving scale of DDPM
(arXiv 2006.11239, eq. 4). alpha_bar is the signal's share of the power: 1 is clean, 0 is pure noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

import numpy as np

from jstyle.diffusion.schedule_config import (
    PREDICTION_TYPES,
    SPACINGS,
    ScheduleConfig,
    compute_betas,
    make_choice_error,
)
from jstyle.errors import InputError
from jstyle.runtime import jt
from jstyle.settings.leaves import unwrap_numpy


@dataclass(frozen=True)
class Level:
    """One noise level: the time fed to the network and the signal's share of the power.

    `t` runs from 0 to 999 and is fractional for some spacings; -1 marks the clean end, which is never fed.
    """

    t: float
    alpha_bar: float


CLEAN = Level(-1.0, 1.0)

NEARLY_NO_SIGNAL = 2.0**-24
"""What stands for an alpha_bar of 0 where sigma = sqrt(1 / alpha_bar - 1) must be a number, as in diffusers."""


@dataclass(frozen=True)
class Prediction:
    """What a denoiser predicts for x at a level: the clean x0 and the noise eps, both of x's shape."""

    x0: jt.Var
    eps: jt.Var


def keep_some_signal(alpha_bar: Any) -> Any:
    """alpha_bar, `NEARLY_NO_SIGNAL` where it is 0."""
    return np.where(alpha_bar == 0, NEARLY_NO_SIGNAL, alpha_bar)


def diffuse(x0: jt.Var, eps: jt.Var, alpha_bar: float | jt.Var) -> jt.Var:
    """The point x at `alpha_bar` between x0 and eps (DDPM eq. 4). A Var alpha_bar broadcasts against x0."""
    return alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * eps


def to_prediction(output: jt.Var, x: jt.Var, alpha_bar: float | jt.Var, prediction_type: str) -> Prediction:
    """Read a network's output as (x0, eps): the one place where eps, v and sample are converted.

    `alpha_bar` is that of the time fed to the network, even where x stands at another level: a v network mixes
    signal and noise by that time (arXiv 2202.00512, appendix D). Raises InputError for an unknown type.
    """
    signal, noise = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    if prediction_type == "epsilon":
        return Prediction(x0=(x - noise * output) / signal, eps=output)
    if prediction_type == "v_prediction":
        return Prediction(x0=signal * x - noise * output, eps=signal * output + noise * x)
    if prediction_type == "sample":
        return Prediction(x0=output, eps=(x - signal * output) / noise)
    raise make_choice_error("prediction_type", prediction_type, PREDICTION_TYPES)


def from_prediction(prediction: Prediction, alpha_bar: float | jt.Var, prediction_type: str) -> jt.Var:
    """The network's output that amounts to `prediction`: `to_prediction` inverted, and the target in training.

    Raises InputError for an unknown type.
    """
    if prediction_type == "epsilon":
        return prediction.eps
    if prediction_type == "v_prediction":
        return alpha_bar**0.5 * prediction.eps - (1 - alpha_bar) ** 0.5 * prediction.x0
    if prediction_type == "sample":
        return prediction.x0
    raise make_choice_error("prediction_type", prediction_type, PREDICTION_TYPES)


class Schedule:
    """The noise levels of a checkpoint.

    `alpha_bars` (num_train_timesteps,) float64 falls as t grows; `final_alpha_bar` is that of the clean end: 1,
    or alpha_bars[0] where the checkpoint's `set_alpha_to_one` is false. `chosen` are levels that a caller has named,
    which samplers feed whatever the spacing.
    """

    def __init__(self, config: ScheduleConfig, chosen: Sequence[Level] = ()) -> None:
        self.config = config
        self.chosen = tuple(chosen)
        self.prediction_type = config.prediction_type
        alpha_bars = np.cumprod(1.0 - compute_betas(config))
        self.alpha_bars: np.ndarray = _rescale_to_zero_snr(alpha_bars) if config.rescale_betas_zero_snr else alpha_bars
        self.final_alpha_bar = 1.0 if config.set_alpha_to_one else float(self.alpha_bars[0])

    def level(self, t: float) -> Level:
        """The level at time t, the clean end where t is below 0. Raises InputError beyond the last training time.

        Between training times the noise-to-signal ratio sqrt(1 / alpha_bar - 1) is linear, as in diffusers.
        """
        last = len(self.alpha_bars) - 1
        if t < 0:
            return Level(-1.0, self.final_alpha_bar)
        if t > last:
            raise InputError(f"time {t:g} is beyond the last training time {last}; use fewer steps or another spacing")
        low = math.floor(t)
        if t == low:
            return Level(float(t), float(self.alpha_bars[low]))
        sigma_low, sigma_high = (1 / keep_some_signal(self.alpha_bars[low : low + 2]) - 1) ** 0.5
        sigma = sigma_low + (t - low) * (sigma_high - sigma_low)
        return Level(float(t), float(1 / (1 + sigma**2)))

    def time_of(self, sigma: float) -> float:
        """The time at which the noise-to-signal ratio is ``sigma``, between training times linear in its logarithm."""
        logs = 0.5 * np.log(1 / keep_some_signal(self.alpha_bars) - 1)
        return float(np.interp(np.log(max(sigma, 1e-10)), logs, np.arange(len(logs))))

    def along(self, sigmas: Optional[str]) -> Schedule:
        """The same schedule with samplers' levels along a curve of sigmas, the checkpoint's own where it is None."""
        return self if sigmas is None else Schedule(replace(self.config, sigmas=sigmas), self.chosen)

    def at(self, levels: Sequence[Level]) -> Schedule:
        """The same schedule with these levels, noisiest first, for samplers; its own where there are none."""
        return Schedule(self.config, levels) if levels else self

    def stride(self, steps: int) -> int:
        """How many training times each of `steps` sampling steps covers. Raises InputError unless 1 <= steps <= T."""
        total, steps = len(self.alpha_bars), unwrap_numpy(steps)
        if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= total:
            raise InputError(f"the number of steps must be a whole number from 1 to {total}, not {steps!r}")
        return total // steps

    def spacing(self, spacing: Optional[str] = None, default: str = "leading") -> str:
        """The spacing to use: the one asked for, else the checkpoint's, else `default`. InputError if it is unknown."""
        name = spacing or self.config.timestep_spacing or default
        if name not in SPACINGS:
            raise make_choice_error("timestep_spacing", name, SPACINGS)
        return name

    def levels(self, steps: int, spacing: Optional[str] = None, *, whole: bool = True) -> list[Level]:
        """The `steps` levels fed to the network, noisiest first (arXiv 2305.08891, table 2).

        `whole` rounds linspace's times to training times. Raises InputError for steps out of range.
        """
        stride, total, spacing = self.stride(steps), len(self.alpha_bars), self.spacing(spacing)
        if spacing == "leading":
            times = np.arange(steps)[::-1] * stride + self.config.steps_offset
        elif spacing == "linspace":
            times = np.linspace(0, total - 1, steps)[::-1]
            times = times.round() if whole else times
        else:
            # rounding can make arange give one time too many
            times = np.arange(total, 0, -total / steps)[:steps].round() - 1
        return [self.level(float(t)) for t in times]

    def clip(self, x0: jt.Var) -> jt.Var:
        """x0, clipped to the checkpoint's `clip_sample_range` where it has `clip_sample`."""
        if not self.config.clip_sample:
            return x0
        return jt.clamp(x0, -self.config.clip_sample_range, self.config.clip_sample_range)


def _rescale_to_zero_snr(alpha_bars: np.ndarray) -> np.ndarray:
    """alpha_bars shifted and scaled so that the first stays and the last is 0 (arXiv 2305.08891, algorithm 1)."""
    roots = alpha_bars**0.5
    return ((roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))) ** 2
