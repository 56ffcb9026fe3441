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

_SOLVER = {"solver_order": 2, "algorithm_type": "dpmsolver++", "solver_type": "midpoint"}

SCHEDULERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "lms": ("LMSDiscreteScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "kdpm2": ("KDPM2DiscreteScheduler", {}),
    "kdpm2_a": ("KDPM2AncestralDiscreteScheduler", {}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", _SOLVER),
    "dpmpp_3m": ("DPMSolverMultistepScheduler", {**_SOLVER, "solver_order": 3}),
    "dpmpp_2m_sde": ("DPMSolverMultistepScheduler", {**_SOLVER, "algorithm_type": "sde-dpmsolver++"}),
    "dpmpp_2s": ("DPMSolverSinglestepScheduler", _SOLVER),
    "dpmpp_sde": ("DPMSolverSDEScheduler", {}),
    "deis": ("DEISMultistepScheduler", {**_SOLVER, "algorithm_type": "deis", "solver_type": "logrho"}),
    "unipc": ("UniPCMultistepScheduler", {"solver_order": 2, "solver_type": "bh2", "predict_x0": True}),
}
"""Each sampler's class in diffusers, and the settings of that class which make it this sampler."""

CURVES: Mapping[str, str] = {
    "karras": "use_karras_sigmas",
    "exponential": "use_exponential_sigmas",
    "beta": "use_beta_sigmas",
}
"""Curves of sigmas, and what asks for them in diffusers' JSON."""

# What a scheduler's class does where its JSON says nothing, and it is not the default of others.
_SILENT = {"skip_prk_steps": False}

# Settings of diffusers' schedulers that change the result and have one supported value here.
_ONLY_SUPPORTED: Mapping[str, Any] = {
    "disable_corrector": [],
    "final_sigmas_type": "zero",
    "interpolation_type": "linear",
    "lambda_min_clipped": -math.inf,
    "rescale_betas_zero_snr": False,
    "sigma_max": None,
    "sigma_min": None,
    "solver_p": None,
    "thresholding": False,
    "timestep_type": "discrete",
    "use_dynamic_shifting": False,
    "use_flow_sigmas": False,
    "use_lu_lambdas": False,
    "variance_type": "fixed_small",
}
# Settings of a class that another sampler, which the user may choose, does not have.
_OF_A_CLASS = frozenset(key for _, demands in SCHEDULERS.values() for key in demands)
# Settings without effect while those above hold: with final sigma zero, DPM++ 2M ends at first order.
_WITHOUT_EFFECT = frozenset(
    ["dynamic_thresholding_ratio", "euler_at_final", "flow_shift", "lower_order_final", "noise_sampler_seed",
     "sample_max_value", "shift_terminal", "time_shift_type"]
)  # fmt: skip


@dataclass(frozen=True)
class ScheduleConfig:
    """A checkpoint's `scheduler_config.json`, validated when built (InputError).

    `timestep_spacing` None leaves the choice to the sampler: leading for ddim, ddpm and pndm, linspace for the
    others, which may follow a curve of `sigmas` besides. `clip_sample` bounds x0 in ddim and ddpm; for latents it must
    be off.
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
    sigmas: Optional[str] = None

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
        sampler = _find_sampler(settings)
        names = {field.name for field in fields(cls)} - {"sampler", "sigmas"}
        values = {key: value for key, value in settings.items() if key in names}
        for key, value in settings.items():
            if key not in names and not key.startswith("_"):
                _check_unsupported(key, value)
        values["sigmas"] = _find_curve(settings)
        values.setdefault("set_alpha_to_one", sampler != "pndm")
        values.setdefault("clip_sample", sampler in ("ddim", "ddpm"))
        # Kept when another sampler runs on this checkpoint, as diffusers' from_config keeps it.
        values.setdefault("timestep_spacing", "leading" if sampler in ("ddim", "ddpm", "pndm") else "linspace")
        if isinstance(values.get("trained_betas"), list):
            values["trained_betas"] = tuple(values["trained_betas"])
        return cls(sampler=sampler, **values)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that diffusers reads and from which `from_dict` makes this config again."""
        class_name, demands = SCHEDULERS[self.sampler]
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        del settings["sampler"], settings["sigmas"]
        if self.trained_betas is not None:
            settings["trained_betas"] = list(self.trained_betas)
        if self.sigmas is not None:
            settings[CURVES[self.sigmas]] = True
        return {
            "_class_name": class_name,
            **{key: value for key, value in settings.items() if value is not None},
            **demands,
        }


def _find_sampler(settings: Mapping[str, Any]) -> str:
    """The sampler whose class and whose settings of it the JSON has. Raises InputError where there is none."""
    class_name = settings.get("_class_name")
    of_class = {name: demands for name, (known, demands) in SCHEDULERS.items() if known == class_name}
    if not of_class:
        raise make_choice_error("_class_name", class_name, dict.fromkeys(known for known, _ in SCHEDULERS.values()))
    said = {key: value for key, value in settings.items() if value is not None}
    for name, demands in of_class.items():
        if all(said.get(key, _SILENT.get(key, value)) == value for key, value in demands.items()):
            return name
    keys = next(iter(of_class.values()))
    found = ", ".join(f"{key} {said.get(key, _SILENT.get(key))!r}" for key in keys if key in {*said, *_SILENT})
    known = "; or ".join(
        ", ".join(f"{key} {value!r}" for key, value in demands.items()) for demands in of_class.values()
    )
    raise InputError(f"scheduler config: {class_name} with {found} is not supported; set {known}")


def _find_curve(settings: Mapping[str, Any]) -> Optional[str]:
    """The curve of sigmas that the JSON asks for. Raises InputError for more than one, and for what is no yes or no."""
    asked = []
    for name, key in CURVES.items():
        value = settings.get(key)
        if value not in (None, True, False):
            raise InputError(f"scheduler config: {key} must be true or false, not {value!r}")
        asked += [name] if value else []
    if len(asked) > 1:
        raise InputError(f"scheduler config: only one of {', '.join(CURVES[name] for name in asked)} can be true")
    return asked[0] if asked else None


def make_choice_error(key: str, value: object, known: Any) -> InputError:
    """That a key has a value that is not one of those that are known."""
    return InputError(f"scheduler config: {key} is {value!r}; it must be one of {', '.join(known)}")


def _check_unsupported(key: str, value: object) -> None:
    if key in _WITHOUT_EFFECT or key in _OF_A_CLASS or key in CURVES.values():
        return
    if key not in _ONLY_SUPPORTED:
        raise InputError(f"scheduler config: unknown key {key!r}; remove it")
    supported = _ONLY_SUPPORTED[key]
    # null is diffusers' way to say "not used"
    if value is not None and value != supported:
        raise InputError(f"scheduler config: {key} {value!r} is not supported; set it to {supported!r}")


def _check_choices(config: ScheduleConfig) -> None:
    for key, known in (
        ("sampler", tuple(SCHEDULERS)),
        ("beta_schedule", BETA_SCHEDULES),
        ("prediction_type", PREDICTION_TYPES),
        ("timestep_spacing", (None, *SPACINGS)),
        ("sigmas", (None, *CURVES, "ays")),
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
