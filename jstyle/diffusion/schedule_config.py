"""A checkpoint's `scheduler_config.json`. Reading it starts no Jittor."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Optional

import numpy as np

from jstyle.errors import InputError
from jstyle.networks.config import read_json
from jstyle.settings.fields import free, later
from jstyle.settings.messages import one_line, show

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
_SAMPLERS = tuple(SAMPLER_OF_CLASS.values())
_IN_SIGMA = ("lms", "euler", "dpmpp_2m")

# Settings of diffusers' schedulers that change the result: the one value that is supported, and who reads it there.
_ONLY_SUPPORTED: Mapping[str, tuple[Any, tuple[str, ...]]] = {
    "algorithm_type": ("dpmsolver++", ("dpmpp_2m",)),
    "final_sigmas_type": ("zero", ("euler", "dpmpp_2m")),
    "interpolation_type": ("linear", ("euler",)),
    "lambda_min_clipped": (-math.inf, ("dpmpp_2m",)),
    "sigma_max": (None, ("euler",)),
    "sigma_min": (None, ("euler",)),
    "skip_prk_steps": (True, ("pndm",)),
    "solver_order": (2, ("dpmpp_2m",)),
    "solver_type": ("midpoint", ("dpmpp_2m",)),
    "thresholding": (False, ("ddim", "ddpm", "dpmpp_2m")),
    "timestep_type": ("discrete", ("euler",)),
    "use_beta_sigmas": (False, _IN_SIGMA),
    "use_dynamic_shifting": (False, ("dpmpp_2m",)),
    "use_exponential_sigmas": (False, _IN_SIGMA),
    "use_flow_sigmas": (False, ("dpmpp_2m",)),
    "use_karras_sigmas": (False, _IN_SIGMA),
    "use_lu_lambdas": (False, ("dpmpp_2m",)),
    "variance_type": ("fixed_small", ("ddpm", "dpmpp_2m")),
}
# Of these, what other classes' solvers have under the same names, and DPM++ does not read in diffusers either.
_SOLVERS = frozenset(["algorithm_type", "solver_order", "solver_type"])
# Settings without effect while those above hold: with final sigma zero, DPM++ 2M ends at first order.
_WITHOUT_EFFECT = frozenset(
    ["dynamic_thresholding_ratio", "euler_at_final", "flow_shift", "lower_order_final", "sample_max_value",
     "time_shift_type"]
)  # fmt: skip
_WITHOUT_ZERO_SNR = ("pndm", "lms")  # diffusers' do not read rescale_betas_zero_snr: their formulas divide by alpha_bar
_MOST_TIMES = 100_000
_LEAST_SIGNAL = 1e-20  # of the noisiest level: below it, what divides by alpha_bar is no longer a number in float32


@dataclass(frozen=True)
class ScheduleConfig:
    """A checkpoint's `scheduler_config.json`, validated when built (InputError).

    `sampler` is None where the file names a scheduler that is not here. `timestep_spacing` None leaves the choice to
    the sampler: leading for ddim, ddpm and pndm, linspace for lms, euler and dpmpp_2m. `clip_sample` bounds x0 in ddim
    and ddpm; for latents it must be off. `rescale_betas_zero_snr` shifts and scales the levels so that the last is pure
    noise (arXiv 2305.08891, algorithm 1).
    """

    sampler: Optional[str] = "ddim"
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
    rescale_betas_zero_snr: bool = later(False)

    foreign: tuple[tuple[str, str], ...] = later(())
    """Names, and values as JSON, in the file that say how its own scheduler goes about it and are not supported."""

    source: str = free("", because="its content stands for it")
    """The file that was read."""

    def __post_init__(self) -> None:
        _check_choices(self)
        _check_numbers(self)
        _check_betas(self)
        if self.rescale_betas_zero_snr and self.prediction_type == "epsilon":
            raise self.error(
                "rescale_betas_zero_snr makes the noisiest level pure noise, where prediction_type epsilon says "
                "nothing of the picture; it needs v_prediction or sample"
            )

    @classmethod
    def read(cls, path: Path) -> ScheduleConfig:
        """Read a file. Raises InputError, which names it, as `from_dict` does and where it cannot be read."""
        return cls.from_dict(read_json(path), str(path))

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any], source: str = "") -> ScheduleConfig:
        """Read diffusers' JSON; what it omits takes the default of the scheduler class that it names.

        What only that class's own way to sample needs, and is not supported, is kept: `choose_sampler` refuses it where
        it matters. Raises InputError for what the noise levels need and is missing, wrong or not supported, and for an
        unknown key of a class that is known.
        """
        class_name = settings.get("_class_name")
        if not isinstance(class_name, str):
            raise make_choice_error("_class_name", class_name, SAMPLER_OF_CLASS, source)
        sampler = SAMPLER_OF_CLASS.get(class_name)
        names = {field.name for field in fields(cls)} - {"sampler", "foreign", "source"}
        values = {key: value for key, value in settings.items() if key in names}
        others = {key: value for key, value in settings.items() if key not in names and not key.startswith("_")}
        if sampler is None:
            _require_levels(settings, class_name, source)
            others = {"_class_name": class_name, **others}
        elif sampler == "pndm":
            others.setdefault("skip_prk_steps", False)
        foreign = [pair for pair in others.items() if _is_foreign(*pair, sampler, source)]
        values.setdefault("set_alpha_to_one", sampler != "pndm")
        values.setdefault("clip_sample", sampler in ("ddim", "ddpm"))
        if sampler is not None:  # kept when another sampler runs on this checkpoint, as diffusers' from_config keeps it
            values.setdefault("timestep_spacing", "linspace" if sampler in _IN_SIGMA else "leading")
        if isinstance(values.get("trained_betas"), list):
            values["trained_betas"] = tuple(values["trained_betas"])
        return cls(
            sampler=sampler, foreign=tuple((key, json.dumps(value)) for key, value in foreign), source=source, **values
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that diffusers reads and from which `from_dict` makes this config again."""
        left_out = {"sampler", "foreign", "source"}
        if not self.rescale_betas_zero_snr:
            left_out.add("rescale_betas_zero_snr")
        settings = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in left_out}
        if self.trained_betas is not None:
            settings["trained_betas"] = list(self.trained_betas)
        if self.sampler == "pndm":
            settings["skip_prk_steps"] = True
        class_name = next((name for name, sampler in SAMPLER_OF_CLASS.items() if sampler == self.sampler), None)
        return {
            "_class_name": class_name,
            **{key: value for key, value in settings.items() if value is not None},
            **{key: json.loads(value) for key, value in self.foreign},
        }

    def choose_sampler(self, name: Optional[str] = None) -> str:
        """The sampler of that name, by default the checkpoint's own.

        Raises InputError, which names the file, where the checkpoint asks something of it that is not supported.
        """
        chosen, own = name or self.sampler, dict(self.foreign)
        others = f"name another sampler ({', '.join(_SAMPLERS)})"
        if chosen is None:
            raise self.error(f"_class_name is {own.get('_class_name')}, a scheduler that is not here; {others}")
        for key, value in own.items():
            supported, readers = _ONLY_SUPPORTED.get(key, (None, ()))
            if chosen in readers and (self.sampler is not None or key not in _SOLVERS):
                known = f"set it to {show(supported)}, or {others}"
                raise self.error(f"{key} {value} is not supported by {chosen}; {known}")
        if self.rescale_betas_zero_snr and chosen in _WITHOUT_ZERO_SNR:
            raise self.error(f"{chosen} cannot start from the pure noise of rescale_betas_zero_snr; {others}")
        return chosen

    def error(self, message: str) -> InputError:
        """That something in the file is wrong."""
        return _make_error(message, self.source)


def make_choice_error(key: str, value: object, known: Any, source: str = "") -> InputError:
    """That a key has a value that is not one of those that are known."""
    return _make_error(f"{key} is {show(value)}; it must be one of {', '.join(known)}", source)


def compute_betas(config: ScheduleConfig) -> np.ndarray:
    """beta_t of the forward process, (num_train_timesteps,) float64; without `rescale_betas_zero_snr`."""
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


def _make_error(message: str, source: str) -> InputError:
    return InputError(one_line(f"{source or 'scheduler config'}: {message}"))


def _require_levels(settings: Mapping[str, Any], class_name: str, source: str) -> None:
    """Raise InputError where a file of an unknown class does not say what its noise levels are."""
    if settings.get("trained_betas") is not None:
        return
    missing = [key for key in ("beta_schedule", "beta_start", "beta_end") if settings.get(key) is None]
    if missing:
        known = ", ".join(SAMPLER_OF_CLASS)
        raise _make_error(f"_class_name is {show(class_name)}, none of {known}, and there is no {missing[0]}", source)


def _is_foreign(key: str, value: object, sampler: Optional[str], source: str) -> bool:
    """Whether a setting asks for what is not supported. Raises InputError for an unknown key of a known class."""
    if key in _WITHOUT_EFFECT:
        return False
    if key not in _ONLY_SUPPORTED:
        if sampler is not None:
            raise _make_error(f"unknown key {key!r}; remove it", source)
        return True
    # null is diffusers' way to say "not used"
    return value is not None and value != _ONLY_SUPPORTED[key][0]


def _check_choices(config: ScheduleConfig) -> None:
    for key, known in (
        ("sampler", (None, *_SAMPLERS)),
        ("beta_schedule", BETA_SCHEDULES),
        ("prediction_type", PREDICTION_TYPES),
        ("timestep_spacing", (None, *SPACINGS)),
    ):
        value = getattr(config, key)
        if not isinstance(value, (str, type(None))) or value not in known:
            raise make_choice_error(key, value, [name for name in known if name], config.source)


def _check_numbers(config: ScheduleConfig) -> None:
    for key, least, most in (("num_train_timesteps", 1, _MOST_TIMES), ("steps_offset", 0, _MOST_TIMES)):
        value = getattr(config, key)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise config.error(f"{key} must be a whole number from {least} to {most}, not {show(value)}")
    for key in ("set_alpha_to_one", "clip_sample", "rescale_betas_zero_snr"):
        if not isinstance(getattr(config, key), bool):
            raise config.error(f"{key} must be true or false, not {show(getattr(config, key))}")
    clip = config.clip_sample_range
    if not _is_number(clip) or not 0 < clip < math.inf:
        raise config.error(f"clip_sample_range must be over 0, not {show(clip)}")


def _check_betas(config: ScheduleConfig) -> None:
    betas = config.trained_betas
    if betas is not None and not (isinstance(betas, tuple) and len(betas) == config.num_train_timesteps):
        raise config.error("trained_betas must be a list of num_train_timesteps numbers")
    for key, values in (("beta_start", [config.beta_start]), ("beta_end", [config.beta_end]), ("trained_betas", betas)):
        for beta in values or ():
            if not _is_number(beta) or not 0 < beta < 1:
                raise config.error(f"{key}: every beta must lie between 0 and 1, not {show(beta)}")
    signal = float(np.exp(np.log1p(-compute_betas(config)).sum()))
    if not config.rescale_betas_zero_snr and signal < _LEAST_SIGNAL:
        raise config.error(f"the betas leave {signal:.1g} of the picture at the noisiest level, which is nothing")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
