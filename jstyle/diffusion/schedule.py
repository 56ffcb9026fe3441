"""Noise levels: a checkpoint's training schedule, and what a network's output says about x at a level.

Everywhere x = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps, the variance-preserving scale of DDPM
(arXiv 2006.11239, eq. 4). alpha_bar is the signal's share of the power: 1 is clean, 0 is pure noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Optional

import numpy as np

from jstyle.errors import InputError
from jstyle.runtime import jt

PREDICTION_TYPES = ("epsilon", "v_prediction", "sample")
SPACINGS = ("leading", "linspace", "trailing")
BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")

SAMPLER_OF_CLASS: Mapping[str, str] = {
    "DDIMScheduler": "ddim",
    "DDPMScheduler": "ddpm",
    "PNDMScheduler": "pndm",
    "LMSDiscreteScheduler": "lms",
    "EulerDiscreteScheduler": "euler",
    "DPMSolverMultistepScheduler": "dpmpp_2m",
}

# Settings of diffusers' schedulers that change the result and have one supported value here.
_ONLY_SUPPORTED: Mapping[str, Any] = {
    "algorithm_type": "dpmsolver++",
    "final_sigmas_type": "zero",
    "interpolation_type": "linear",
    "lambda_min_clipped": -math.inf,
    "rescale_betas_zero_snr": False,
    "sigma_max": None,
    "sigma_min": None,
    "skip_prk_steps": True,
    "solver_order": 2,
    "solver_type": "midpoint",
    "thresholding": False,
    "timestep_type": "discrete",
    "use_beta_sigmas": False,
    "use_dynamic_shifting": False,
    "use_exponential_sigmas": False,
    "use_flow_sigmas": False,
    "use_karras_sigmas": False,
    "use_lu_lambdas": False,
    "variance_type": "fixed_small",
}
# Settings without effect while those above hold: with final sigma zero, DPM++ 2M ends at first order.
_WITHOUT_EFFECT = frozenset(
    ["dynamic_thresholding_ratio", "euler_at_final", "flow_shift", "lower_order_final", "sample_max_value",
     "time_shift_type"]
)  # fmt: skip


@dataclass(frozen=True)
class Level:
    """One noise level: the time fed to the network and the signal's share of the power.

    `t` runs from 0 to 999 and is fractional for some spacings; -1 marks the clean end, which is never fed.
    """

    t: float
    alpha_bar: float


CLEAN = Level(-1.0, 1.0)


@dataclass(frozen=True)
class Prediction:
    """What a denoiser predicts for x at a level: the clean x0 and the noise eps, both of x's shape."""

    x0: jt.Var
    eps: jt.Var


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
    raise _make_choice_error("prediction_type", prediction_type, PREDICTION_TYPES)


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
    raise _make_choice_error("prediction_type", prediction_type, PREDICTION_TYPES)


@dataclass(frozen=True)
class ScheduleConfig:
    """A checkpoint's `scheduler_config.json`, validated when built (InputError).

    `timestep_spacing` None leaves the choice to the sampler: leading for ddim, ddpm and pndm, linspace for
    lms, euler and dpmpp_2m. `clip_sample` bounds x0 in ddim and ddpm; for latents it must be off.
    """

    sampler: str = "ddim"
    num_train_timesteps: int = 1000
    beta_start: float = 0.0001
    beta_end: float = 0.02
    beta_schedule: str = "linear"
    trained_betas: Optional[tuple[float, ...]] = None
    prediction_type: str = "epsilon"
    timestep_spacing: Optional[str] = None
    steps_offset: int = 0
    set_alpha_to_one: bool = True
    clip_sample: bool = False
    clip_sample_range: float = 1.0

    def __post_init__(self) -> None:
        _check_choices(self)
        _check_numbers(self)
        _check_betas(self)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> ScheduleConfig:
        """Read diffusers' JSON; what it omits takes the default of the scheduler class that it names.

        Raises InputError for an unknown class or key, and for a setting that would change the result but is
        not supported here.
        """
        class_name = settings.get("_class_name")
        if not isinstance(class_name, str) or class_name not in SAMPLER_OF_CLASS:
            raise _make_choice_error("_class_name", class_name, SAMPLER_OF_CLASS)
        sampler = SAMPLER_OF_CLASS[class_name]
        names = {field.name for field in fields(cls)} - {"sampler"}
        values = {key: value for key, value in settings.items() if key in names}
        for key, value in settings.items():
            if key not in names and not key.startswith("_"):
                _check_unsupported(key, value)
        if sampler == "pndm" and "skip_prk_steps" not in settings:
            _check_unsupported("skip_prk_steps", False)
        values.setdefault("set_alpha_to_one", sampler != "pndm")
        values.setdefault("clip_sample", sampler in ("ddim", "ddpm"))
        # Kept when another sampler runs on this checkpoint, as diffusers' from_config keeps it.
        values.setdefault("timestep_spacing", "leading" if sampler in ("ddim", "ddpm", "pndm") else "linspace")
        if isinstance(values.get("trained_betas"), list):
            values["trained_betas"] = tuple(values["trained_betas"])
        return cls(sampler=sampler, **values)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that diffusers reads and from which `from_dict` makes this config again."""
        class_name = next(name for name, sampler in SAMPLER_OF_CLASS.items() if sampler == self.sampler)
        settings = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "sampler"}
        if self.trained_betas is not None:
            settings["trained_betas"] = list(self.trained_betas)
        if self.sampler == "pndm":
            settings["skip_prk_steps"] = True
        return {
            "_class_name": class_name,
            **{key: value for key, value in settings.items() if value is not None},
        }


class Schedule:
    """The noise levels of a checkpoint.

    `alpha_bars` (num_train_timesteps,) float64 falls as t grows; `final_alpha_bar` is that of the clean end: 1,
    or alpha_bars[0] where the checkpoint's `set_alpha_to_one` is false.
    """

    def __init__(self, config: ScheduleConfig) -> None:
        self.config = config
        self.prediction_type = config.prediction_type
        self.alpha_bars: np.ndarray = np.cumprod(1.0 - _compute_betas(config))
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
        sigma_low, sigma_high = (1 / self.alpha_bars[low : low + 2] - 1) ** 0.5
        sigma = sigma_low + (t - low) * (sigma_high - sigma_low)
        return Level(float(t), float(1 / (1 + sigma**2)))

    def stride(self, steps: int) -> int:
        """How many training times each of `steps` sampling steps covers. Raises InputError unless 1 <= steps <= T."""
        total = len(self.alpha_bars)
        if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= total:
            raise InputError(f"the number of steps must be a whole number from 1 to {total}, not {steps!r}")
        return total // steps

    def spacing(self, spacing: Optional[str] = None, default: str = "leading") -> str:
        """The spacing to use: the one asked for, else the checkpoint's, else `default`. InputError if it is unknown."""
        name = spacing or self.config.timestep_spacing or default
        if name not in SPACINGS:
            raise _make_choice_error("timestep_spacing", name, SPACINGS)
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


def _compute_betas(config: ScheduleConfig) -> np.ndarray:
    """beta_t of the forward process, (num_train_timesteps,) float64."""
    total = config.num_train_timesteps
    if config.trained_betas is not None:
        return np.asarray(config.trained_betas, np.float64)
    if config.beta_schedule == "linear":
        return np.linspace(config.beta_start, config.beta_end, total)
    if config.beta_schedule == "scaled_linear":
        return np.linspace(config.beta_start**0.5, config.beta_end**0.5, total) ** 2
    # cosine: Improved DDPM, arXiv 2102.09672, eq. 17
    alpha_bar = np.cos((np.arange(total + 1) / total + 0.008) / 1.008 * math.pi / 2) ** 2
    return np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], 0.999)


def _make_choice_error(key: str, value: object, known: Any) -> InputError:
    return InputError(f"scheduler config: {key} is {value!r}; it must be one of {', '.join(known)}")


def _check_unsupported(key: str, value: object) -> None:
    if key in _WITHOUT_EFFECT:
        return
    if key not in _ONLY_SUPPORTED:
        raise InputError(f"scheduler config: unknown key {key!r}; remove it")
    supported = _ONLY_SUPPORTED[key]
    # null is diffusers' way to say "not used"
    if value is not None and value != supported:
        raise InputError(f"scheduler config: {key} {value!r} is not supported; set it to {supported!r}")


def _check_choices(config: ScheduleConfig) -> None:
    for key, known in (
        ("sampler", tuple(SAMPLER_OF_CLASS.values())),
        ("beta_schedule", BETA_SCHEDULES),
        ("prediction_type", PREDICTION_TYPES),
        ("timestep_spacing", (None, *SPACINGS)),
    ):
        value = getattr(config, key)
        if value not in known:
            raise _make_choice_error(key, value, [name for name in known if name])


def _check_numbers(config: ScheduleConfig) -> None:
    for key, least in (("num_train_timesteps", 1), ("steps_offset", 0)):
        value = getattr(config, key)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"scheduler config: {key} must be a whole number of at least {least}, not {value!r}")
    for key in ("set_alpha_to_one", "clip_sample"):
        if not isinstance(getattr(config, key), bool):
            raise InputError(f"scheduler config: {key} must be true or false, not {getattr(config, key)!r}")
    if not _is_number(config.clip_sample_range) or not config.clip_sample_range > 0:
        raise InputError(f"scheduler config: clip_sample_range must be over 0, not {config.clip_sample_range!r}")


def _check_betas(config: ScheduleConfig) -> None:
    betas = config.trained_betas
    if betas is not None and not (isinstance(betas, tuple) and len(betas) == config.num_train_timesteps):
        raise InputError("scheduler config: trained_betas must be a list of num_train_timesteps numbers")
    for beta in (config.beta_start, config.beta_end, *(betas or ())):
        if not _is_number(beta) or not 0 < beta < 1:
            raise InputError(f"scheduler config: every beta must lie between 0 and 1, not {beta!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
