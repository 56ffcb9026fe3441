"""The noise schedule, the scheduler's JSON, and what a network's output says."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from jstyle.diffusion.samplers import SAMPLERS, ddim_invert
from jstyle.diffusion.schedule import Level, Schedule, diffuse, from_prediction, to_prediction
from jstyle.diffusion.schedule_config import PREDICTION_TYPES, ScheduleConfig
from jstyle.errors import InputError
from jstyle.runtime import jt
from jstyle.settings.identity import digest, identity

SD21 = {
    "_class_name": "DDIMScheduler",
    "_diffusers_version": "0.8.0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}
ALPHA_BARS = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)


def sd_schedule(**changes: Any) -> Schedule:
    return Schedule(ScheduleConfig.from_dict({**SD21, **changes}))


def unit_normal(seed: int = 0, shape: tuple[int, ...] = (3, 1, 3, 3)) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# Reading a network's output


@pytest.mark.parametrize("alpha_bar", [0.9991, 0.5, 0.0047])
def test_every_prediction_type_says_the_same_of_one_point(alpha_bar: float) -> None:
    x0, eps = np.random.default_rng(0).standard_normal((2, 50))
    x = alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * eps
    outputs = {
        "epsilon": eps,
        "sample": x0,
        "v_prediction": alpha_bar**0.5 * eps - (1 - alpha_bar) ** 0.5 * x0,
    }
    for kind in PREDICTION_TYPES:
        prediction = to_prediction(outputs[kind], x, alpha_bar, kind)
        np.testing.assert_allclose(prediction.x0, x0, atol=1e-12)
        np.testing.assert_allclose(prediction.eps, eps, atol=1e-12)
        np.testing.assert_allclose(from_prediction(prediction, alpha_bar, kind), outputs[kind], atol=1e-12)
    np.testing.assert_allclose(diffuse(x0, eps, alpha_bar), x, atol=1e-15)


@pytest.mark.parametrize("kind", PREDICTION_TYPES)
def test_any_output_splits_x_into_its_two_parts(kind: str) -> None:
    output, x = np.random.default_rng(1).standard_normal((2, 50))
    prediction = to_prediction(output, x, 0.3, kind)
    np.testing.assert_allclose(diffuse(prediction.x0, prediction.eps, 0.3), x, atol=1e-12)


def test_one_level_per_sample_works_as_training_needs_it() -> None:
    alpha_bars = np.float32([0.9, 0.2, 0.01]).reshape(3, 1, 1, 1)
    x0, eps = unit_normal(1), unit_normal(2)
    mixed = diffuse(jt.array(x0), jt.array(eps), jt.array(alpha_bars)).numpy()
    for row, alpha_bar in enumerate(alpha_bars.ravel()):
        np.testing.assert_allclose(mixed[row], diffuse(x0[row], eps[row], float(alpha_bar)), rtol=1e-5)


def test_an_unknown_prediction_type_is_named() -> None:
    with pytest.raises(InputError, match="'flow'"):
        to_prediction(1.0, 1.0, 0.5, "flow")


# The schedule


def test_stable_diffusions_levels() -> None:
    schedule = sd_schedule()
    np.testing.assert_allclose(schedule.alpha_bars, ALPHA_BARS, rtol=1e-12)
    assert schedule.final_alpha_bar == schedule.alpha_bars[0]
    assert [level.t for level in schedule.levels(50)] == list(range(981, 0, -20))
    assert schedule.level(981).alpha_bar == pytest.approx(ALPHA_BARS[981])
    assert schedule.level(-19) == Level(-1.0, schedule.final_alpha_bar)
    assert Schedule(ScheduleConfig()).final_alpha_bar == 1.0


def test_between_training_times_sigma_is_linear() -> None:
    sigma = [(1 / alpha_bar - 1) ** 0.5 for alpha_bar in ALPHA_BARS[500:502]]
    found = (1 / sd_schedule().level(500.25).alpha_bar - 1) ** 0.5
    assert found == pytest.approx(0.75 * sigma[0] + 0.25 * sigma[1], rel=1e-9)


@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
def test_any_number_of_steps_gives_that_many_falling_levels(spacing: str) -> None:
    schedule = sd_schedule(steps_offset=0)
    for steps in range(1, 1001):
        times = [level.t for level in schedule.levels(steps, spacing)]
        assert len(times) == steps and times[-1] >= 0 and times[0] <= 999
        assert all(later < earlier for earlier, later in zip(times, times[1:]))


@pytest.mark.parametrize("steps", [0, -1, 1001, 2.5, True, "20"])
def test_a_wrong_number_of_steps_is_refused(steps: Any) -> None:
    for sampler in SAMPLERS.values():
        with pytest.raises(InputError, match="number of steps"):
            sampler.levels(sd_schedule(), steps)


def test_times_beyond_the_schedule_are_refused() -> None:
    with pytest.raises(InputError, match="time 1000 is beyond"):
        sd_schedule().levels(1000)
    with pytest.raises(InputError, match="fewer than 1000"):
        SAMPLERS["dpmpp_2m"].levels(sd_schedule(), 1000)


# The scheduler's JSON


def test_config_of_sd21() -> None:
    config = ScheduleConfig.from_dict(SD21)
    assert (config.sampler, config.prediction_type, config.timestep_spacing) == ("ddim", "v_prediction", "leading")
    assert (config.steps_offset, config.set_alpha_to_one, config.clip_sample) == (1, False, False)


@pytest.mark.parametrize(
    ("class_name", "set_alpha_to_one", "clip_sample"),
    [
        ("DDIMScheduler", True, True),
        ("DDPMScheduler", True, True),
        ("PNDMScheduler", False, False),
        ("EulerDiscreteScheduler", True, False),
    ],
)
def test_what_the_json_omits_is_the_classes_default(class_name: str, set_alpha_to_one: bool, clip_sample: bool) -> None:
    config = ScheduleConfig.from_dict({"_class_name": class_name, "skip_prk_steps": True})
    assert (config.set_alpha_to_one, config.clip_sample) == (set_alpha_to_one, clip_sample)
    assert (config.beta_schedule, config.beta_start, config.beta_end) == ("linear", 0.0001, 0.02)


def test_a_checkpoint_keeps_its_spacing_for_every_sampler() -> None:
    """diffusers' from_config carries the class's default over to another sampler; only a bare config leaves it open."""
    schedule = sd_schedule()
    assert SAMPLERS["pndm"].levels(schedule, 10)[0].t == 901
    assert SAMPLERS["euler"].levels(schedule, 10)[0].t == 901
    assert SAMPLERS["pndm"].levels(schedule, 10, "trailing")[0].t == 999
    euler = {**SD21, "_class_name": "EulerDiscreteScheduler"}
    assert ScheduleConfig.from_dict(euler).timestep_spacing == "linspace"
    bare = Schedule(ScheduleConfig())
    assert (SAMPLERS["pndm"].levels(bare, 10)[0].t, SAMPLERS["euler"].levels(bare, 10)[0].t) == (900, 999)


@pytest.mark.parametrize("changes", [
    {}, {"_class_name": "PNDMScheduler"}, {"_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": True},
    {"_class_name": "DPMSolverMultistepScheduler", "solver_order": 3}, {"timestep_spacing": "trailing"},
    {"clip_sample": True}, {"rescale_betas_zero_snr": True},
    {"num_train_timesteps": 3, "trained_betas": [0.1, 0.2, 0.3]},
])  # fmt: skip
def test_to_dict_is_read_back_as_the_same_config(changes: dict[str, Any]) -> None:
    config = ScheduleConfig.from_dict({**SD21, **changes})
    assert ScheduleConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_is_known_to_diffusers_json(name: str) -> None:
    config = ScheduleConfig(sampler=name, timestep_spacing="linspace")
    assert ScheduleConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_two_curves_at_once_are_refused() -> None:
    with pytest.raises(InputError, match="only one of use_karras_sigmas, use_beta_sigmas can be true"):
        ScheduleConfig.from_dict({**SD21, "use_karras_sigmas": True, "use_beta_sigmas": True})


@pytest.mark.parametrize(("key", "value"), [
    ("rescale_betas_zero_snr", 1), ("num_train_timesteps", 10**9), ("steps_offset", 10**9), ("beta_end", 0.9),
    ("use_karras_sigmas", "yes"),
    ("a_new_switch", 1), ("_class_name", None), ("_class_name", ["DDIMScheduler"]), ("beta_schedule", "sigmoid"),
    ("prediction_type", "flow_prediction"), ("timestep_spacing", "even"), ("num_train_timesteps", 0),
    ("num_train_timesteps", "1000"), ("steps_offset", -1), ("clip_sample", "false"), ("clip_sample_range", 0),
    ("beta_start", "x"), ("beta_end", 1.5), ("beta_start", float("nan")), ("trained_betas", [0.1]),
    ("trained_betas", "linear"), ("set_alpha_to_one", None),
])  # fmt: skip
def test_what_is_wrong_or_not_supported_is_named(key: str, value: Any) -> None:
    with pytest.raises(InputError) as error:
        ScheduleConfig.from_dict({**SD21, key: value})
    assert ("beta" if key.startswith("beta_") and key != "beta_schedule" else key) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("class_name", "key", "value"), [
    ("DDIMScheduler", "thresholding", True), ("DDPMScheduler", "variance_type", "learned_range"),
    ("DPMSolverMultistepScheduler", "solver_type", "heun"),
    ("UniPCMultistepScheduler", "predict_x0", False), ("EulerDiscreteScheduler", "sigma_max", 10.0),
    ("DPMSolverMultistepScheduler", "final_sigmas_type", "sigma_min"),
    ("DPMSolverMultistepScheduler", "lambda_min_clipped", -5.1),
])  # fmt: skip
def test_what_the_checkpoints_own_sampler_does_not_support_is_named_where_it_is_wanted(
    class_name: str, key: str, value: Any
) -> None:
    config = ScheduleConfig.from_dict({**SD21, "_class_name": class_name, key: value}, "model/scheduler_config.json")
    with pytest.raises(InputError, match=f"^model/scheduler_config.json: {key} .*name another sampler") as error:
        config.choose_sampler()
    assert "\n" not in str(error.value)
    other = "pndm" if config.sampler != "pndm" else "ddim"
    assert config.choose_sampler(other) == other
    assert ScheduleConfig.from_dict(json.loads(json.dumps(config.to_dict())), config.source) == config
    with pytest.raises(InputError, match=key):  # from Python too, where no pipeline has asked
        next(SAMPLERS[config.sampler or ""](None, None, Schedule(config), 10))  # type: ignore[arg-type]


def test_pndm_begins_with_runge_kutta_steps_where_the_json_is_silent() -> None:
    """As diffusers' class, whose default that is."""
    silent = {key: value for key, value in SD21.items() if key != "skip_prk_steps"}
    for said, sampler in ((True, "pndm"), (False, "pndm_rk"), (None, "pndm_rk")):
        given = {**silent, "_class_name": "PNDMScheduler", **({} if said is None else {"skip_prk_steps": said})}
        assert ScheduleConfig.from_dict(given).choose_sampler() == sampler


def test_an_unknown_scheduler_leaves_the_choice_to_the_user() -> None:
    sa = {**SD21, "_class_name": "SASolverScheduler", "use_lu_lambdas": True, "a_new_switch": [1]}
    config = ScheduleConfig.from_dict(sa, "model/scheduler_config.json")
    with pytest.raises(InputError, match='^model/scheduler_config.json: .*"SASolverScheduler".*ddim, ddpm'):
        config.choose_sampler()
    assert config.choose_sampler("ddim") == "ddim"
    with pytest.raises(InputError, match="use_lu_lambdas true is not supported by dpmpp_2m"):  # diffusers keeps it
        config.choose_sampler("dpmpp_2m")
    assert [level.t for level in Schedule(config).levels(50)] == list(range(981, 0, -20))
    again = ScheduleConfig.from_dict(json.loads(json.dumps(config.to_dict())), config.source)
    assert again == config and again.to_dict()["a_new_switch"] == [1]
    for key in ("beta_schedule", "beta_start", "beta_end"):
        with pytest.raises(InputError, match=f"no {key}"):
            ScheduleConfig.from_dict({**sa, key: None})


def test_a_known_class_in_a_form_that_is_not_here_leaves_the_choice_to_the_user() -> None:
    settings = {"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "dpmsolver", "solver_order": 3}
    config = ScheduleConfig.from_dict({**SD21, **settings})
    with pytest.raises(InputError, match='"DPMSolverMultistepScheduler" of solver_order 3, algorithm_type "dpmsolver"'):
        config.choose_sampler()
    assert config.choose_sampler("dpmpp_2m") == "dpmpp_2m"


# A last level of pure noise


def zero_snr(**changes: Any) -> Schedule:
    return sd_schedule(**{"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", **changes})


def test_a_prediction_of_the_noise_says_nothing_at_pure_noise() -> None:
    with pytest.raises(InputError, match="rescale_betas_zero_snr .* needs v_prediction or sample"):
        zero_snr(prediction_type="epsilon")


@pytest.mark.parametrize("name", ["pndm", "pndm_rk", "lms"])
def test_who_divides_by_the_signal_does_not_start_from_pure_noise(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} cannot start from the pure noise of rescale_betas_zero_snr"):
        zero_snr().config.choose_sampler(name)


def test_between_the_last_times_sigma_stays_a_number() -> None:
    assert 0 < zero_snr().level(998.5).alpha_bar < zero_snr().alpha_bars[998]


def test_an_inversion_does_not_go_on_from_pure_noise() -> None:
    def denoise(x: Any, level: Level, step: int) -> Any:
        return to_prediction(x * 0.3, x, level.alpha_bar, "v_prediction")

    x = jt.array(unit_normal())
    with pytest.raises(InputError, match="rescale_betas_zero_snr leaves nothing .* inversion target"):
        next(ddim_invert(denoise, x, zero_snr(), 4))
    for schedule, convention in ((zero_snr(), "target"), (zero_snr(timestep_spacing="leading"), "current")):
        last = list(ddim_invert(denoise, x, schedule, 4, convention))[-1]
        assert last.next_level.alpha_bar == 0 and np.isfinite(last.x.numpy()).all()


def test_a_checkpoint_without_zero_snr_is_what_it_was() -> None:
    """The field came later: identities and files of other checkpoints do not show it."""
    assert not {"rescale_betas_zero_snr", "foreign", "source"} & set(identity(sd_schedule().config))
    assert "rescale_betas_zero_snr" not in sd_schedule().config.to_dict()
    assert digest(zero_snr().config) != digest(sd_schedule(timestep_spacing="trailing").config)


@pytest.mark.parametrize("name", ["HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "DPMSolverSDEScheduler"])
def test_betas_that_a_file_leaves_out_are_its_classs(name: str) -> None:
    """Of diffusers' classes these have other betas than DDPM's by default (0.42.1, "sensible defaults")."""
    config = ScheduleConfig.from_dict({"_class_name": name})
    assert (config.beta_start, config.beta_end, config.beta_schedule) == (0.00085, 0.012, "linear")
    assert ScheduleConfig.from_dict({"_class_name": "EulerDiscreteScheduler"}).beta_end == 0.02
