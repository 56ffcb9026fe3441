"""A checkpoint's `scheduler_config.json`. Reading it starts no Jittor."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Optional, get_args

import numpy as np

from jstyle.diffusion.scheduler_settings import SCHEDULER_SETTINGS
from jstyle.errors import InputError
from jstyle.networks.config_reader import read_json
from jstyle.settings.fields import free, later
from jstyle.settings.messages import one_line, show
from jstyle.settings.vocabulary import BY_TIMES, PredictionType

PREDICTION_TYPES: tuple[str, ...] = get_args(PredictionType)
SPACINGS = ("leading", "linspace", "trailing")
BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")

_SOLVER = {"solver_order": 2, "algorithm_type": "dpmsolver++"}

SCHEDULERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "pndm_rk": ("PNDMScheduler", {"skip_prk_steps": False}),
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
    "deis": ("DEISMultistepScheduler", {"solver_order": 2}),
    "unipc": ("UniPCMultistepScheduler", {"solver_order": 2}),
    "lcm": ("LCMScheduler", {}),
    "tcd": ("TCDScheduler", {}),
}
"""Each sampler's class in diffusers, and which of several that the class can be it is."""

CURVES: Mapping[str, str] = {
    "karras": "use_karras_sigmas",
    "exponential": "use_exponential_sigmas",
    "beta": "use_beta_sigmas",
}
"""Curves of sigmas, and what asks for them in diffusers' JSON."""

SIGMAS = (*CURVES, "ays")
"""All curves of sigmas."""

_DPMPP = ("dpmpp_2m", "dpmpp_3m", "dpmpp_2m_sde", "dpmpp_2s")
_ENDING = ("euler", "unipc", *_DPMPP)
_DISTILLED = ("lcm", "tcd")

# Settings of diffusers' schedulers that change the result: the values that are supported, and who reads them there. A
# solver takes the types of the other solvers for its own default.
_ONLY_SUPPORTED: Mapping[str, Sequence[tuple[tuple[Any, ...], tuple[str, ...]]]] = {
    "disable_corrector": [(([],), ("unipc",))],
    "final_sigmas_type": [(("zero",), _ENDING)],
    "interpolation_type": [(("linear",), ("euler",))],
    "lambda_min_clipped": [((-math.inf,), _DPMPP)],
    "predict_x0": [((True,), ("unipc",))],
    "sigma_max": [((), ("euler", "unipc"))],
    "sigma_min": [((), ("euler", "unipc"))],
    "solver_p": [((), ("unipc",))],
    "solver_type": [
        (("midpoint", "logrho", "bh1", "bh2"), _DPMPP),
        (("bh2", "logrho", "midpoint", "heun"), ("unipc",)),
        (("logrho", "bh1", "bh2", "midpoint", "heun"), ("deis",)),
    ],
    "thresholding": [((False,), ("ddim", "ddpm", "deis", "unipc", *_DISTILLED, *_DPMPP))],
    "timestep_type": [(("discrete",), ("euler",))],
    "use_dynamic_shifting": [((False,), ("deis", "unipc", *_DPMPP))],
    "use_flow_sigmas": [((False,), ("deis", "unipc", *_DPMPP))],
    "use_lu_lambdas": [((False,), _DPMPP)],
    "variance_type": [(("fixed_small",), ("ddpm", *_DPMPP))],
}
# Settings without effect while those above hold, or that a sampler's name says.
_WITHOUT_EFFECT = frozenset(
    ["algorithm_type", "dynamic_thresholding_ratio", "euler_at_final", "flow_shift", "lower_order_final",
     "noise_sampler_seed", "sample_max_value", "shift_terminal", "skip_prk_steps", "solver_order",
     "time_shift_type", *CURVES.values()]
)  # fmt: skip
# diffusers' do not read rescale_betas_zero_snr: their formulas divide by alpha_bar
_WITHOUT_ZERO_SNR = ("pndm", "pndm_rk", "lms")
_MOST_TIMES = 100_000
_LEAST_SIGNAL = 1e-20  # of the noisiest level: below it, what divides by alpha_bar is no longer a number in float32


@dataclass(frozen=True)
class ScheduleConfig:
    """A checkpoint's `scheduler_config.json`, validated when built (InputError).

    `sampler` is None where the file names a scheduler that is not here. `timestep_spacing` None leaves the choice to
    the sampler: leading for those that go by times, linspace for the others, which may follow a curve of `sigmas`
    besides. `clip_sample` bounds x0 in ddim, ddpm and lcm; for latents it must be off. `rescale_betas_zero_snr` shifts
    and scales the levels so that the last is pure noise (arXiv 2305.08891, algorithm 1). `original_inference_steps` are
    the times that a distillation to few steps visited, `timestep_scaling` times the time is how far lcm is from the
    clean end.
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
    sigmas: Optional[str] = later(None)
    original_inference_steps: int = later(50)
    timestep_scaling: float = later(10.0)

    foreign: tuple[tuple[str, str], ...] = later(())
    """Names, and values as JSON, in the file that say how its own scheduler goes about it and are not supported."""

    source: str = free("", because="its content stands for it", compare=False)
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
            raise make_choice_error("_class_name", class_name, _list_classes(), source)
        sampler = _find_sampler(class_name, settings)
        names = {field.name for field in fields(cls)} - {"sampler", "sigmas", "foreign", "source"}
        defaults = {} if sampler is None else SCHEDULER_SETTINGS[class_name]
        values = {key: value for key, value in {**defaults, **settings}.items() if key in names}
        others = {key: value for key, value in settings.items() if key not in names and not key.startswith("_")}
        if sampler is None:
            _require_levels(settings, class_name, source)
            others = {"_class_name": class_name, **others}
        foreign = [pair for pair in others.items() if _is_foreign(*pair, sampler, source)]
        if sampler is not None:  # kept when another sampler runs on this checkpoint, as diffusers' from_config keeps it
            values.setdefault("timestep_spacing", "leading" if sampler in BY_TIMES else "linspace")
        values["sigmas"] = _find_curve(settings, source)
        if isinstance(values.get("trained_betas"), list):
            values["trained_betas"] = tuple(values["trained_betas"])
        return cls(
            sampler=sampler, foreign=tuple((key, json.dumps(value)) for key, value in foreign), source=source, **values
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that diffusers reads and from which `from_dict` makes this config again."""
        left_out = {"sampler", "sigmas", "foreign", "source"}
        if not self.rescale_betas_zero_snr:
            left_out.add("rescale_betas_zero_snr")
        if self.sampler not in _DISTILLED:
            left_out |= {"original_inference_steps", "timestep_scaling"}
        settings = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in left_out}
        if self.trained_betas is not None:
            settings["trained_betas"] = list(self.trained_betas)
        if self.sigmas is not None and self.sigmas in CURVES:
            settings[CURVES[self.sigmas]] = True
        class_name, demands = (None, {}) if self.sampler is None else SCHEDULERS[self.sampler]
        return {
            "_class_name": class_name,
            **{key: value for key, value in settings.items() if value is not None},
            **demands,
            **{key: json.loads(value) for key, value in self.foreign},
        }

    def choose_sampler(self, name: Optional[str] = None) -> str:
        """The sampler of that name, by default the checkpoint's own.

        Raises InputError, which names the file, where the checkpoint asks something of it that is not supported.
        """
        chosen, own = name or self.sampler, dict(self.foreign)
        others = f"name another sampler ({', '.join(SCHEDULERS)})"
        if chosen is None:
            form = ", ".join(f"{key} {own[key]}" for key in ("solver_order", "algorithm_type") if key in own)
            known = f"{own.get('_class_name')}{f' of {form}' if form else ''}"
            raise self.error(f"_class_name is {known}, a scheduler that is not here; {others}")
        for key, value in own.items():
            for supported, readers in _ONLY_SUPPORTED.get(key, ()):
                if chosen in readers and json.loads(value) not in supported:
                    able = [name for name in SCHEDULERS if name not in readers]
                    known = f"set it to {show(supported[0]) if supported else 'null'}"
                    known += f", or name another sampler ({', '.join(able)})" if able else ""
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


def _list_classes() -> list[str]:
    return list(dict.fromkeys(class_name for class_name, _ in SCHEDULERS.values()))


def _find_sampler(class_name: str, settings: Mapping[str, Any]) -> Optional[str]:
    """The sampler that diffusers' class is with these settings, where it is here."""
    for name, (known, demands) in SCHEDULERS.items():
        if known == class_name:
            defaults = SCHEDULER_SETTINGS[known]
            said = {key: defaults[key] if settings.get(key) is None else settings[key] for key in demands}
            if said == demands:
                return name
    return None


def _find_curve(settings: Mapping[str, Any], source: str) -> Optional[str]:
    """The curve of sigmas that the JSON asks for. Raises InputError for more than one, and for what is no yes or no."""
    asked = []
    for name, key in CURVES.items():
        value = settings.get(key)
        if value not in (None, True, False):
            raise _make_error(f"{key} must be true or false, not {show(value)}", source)
        asked += [name] if value else []
    if len(asked) > 1:
        raise _make_error(f"only one of {', '.join(CURVES[name] for name in asked)} can be true", source)
    return asked[0] if asked else None


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
        known = ", ".join(_list_classes())
        raise _make_error(f"_class_name is {show(class_name)}, none of {known}, and there is no {missing[0]}", source)


def _is_foreign(key: str, value: object, sampler: Optional[str], source: str) -> bool:
    """Whether a setting asks for what is not supported. Raises InputError for an unknown key of a known class."""
    if key in _WITHOUT_EFFECT:
        return sampler is None and key in _SOLVER
    if key not in _ONLY_SUPPORTED:
        if sampler is not None:
            raise _make_error(f"unknown key {key!r}; remove it", source)
        return True
    # null is diffusers' way to say "not used"
    return value is not None and any(value not in supported for supported, _ in _ONLY_SUPPORTED[key])


def _check_choices(config: ScheduleConfig) -> None:
    for key, known in (
        ("sampler", (None, *SCHEDULERS)),
        ("beta_schedule", BETA_SCHEDULES),
        ("prediction_type", PREDICTION_TYPES),
        ("timestep_spacing", (None, *SPACINGS)),
        ("sigmas", (None, *SIGMAS)),
    ):
        value = getattr(config, key)
        if not isinstance(value, (str, type(None))) or value not in known:
            raise make_choice_error(key, value, [name for name in known if name], config.source)


def _check_numbers(config: ScheduleConfig) -> None:
    bounds = (
        ("num_train_timesteps", 1, _MOST_TIMES),
        ("steps_offset", 0, _MOST_TIMES),
        ("original_inference_steps", 1, _MOST_TIMES),
    )
    for key, least, most in bounds:
        value = getattr(config, key)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise config.error(f"{key} must be a whole number from {least} to {most}, not {show(value)}")
    for key in ("set_alpha_to_one", "clip_sample", "rescale_betas_zero_snr"):
        if not isinstance(getattr(config, key), bool):
            raise config.error(f"{key} must be true or false, not {show(getattr(config, key))}")
    for key in ("clip_sample_range", "timestep_scaling"):
        value = getattr(config, key)
        if not _is_number(value) or not 0 < value < math.inf:
            raise config.error(f"{key} must be over 0, not {show(value)}")


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
