"""A checkpoint's `scheduler_config.json`. Reading it starts no Jittor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Optional

from jstyle.errors import InputError

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
            raise make_choice_error("_class_name", class_name, SAMPLER_OF_CLASS)
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


def make_choice_error(key: str, value: object, known: Any) -> InputError:
    """That a key has a value that is not one of those that are known."""
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
            raise make_choice_error(key, value, [name for name in known if name])


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
