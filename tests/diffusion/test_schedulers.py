"""The schedulers under diffusers' names, as scripts use them: diffusers' numbers (record_schedulers.py), flows."""

from __future__ import annotations

import inspect
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jstyle
from jstyle.diffusion.schedule import Level, Prediction, to_prediction
from jstyle.diffusion.scheduler_settings import SCHEDULER_SETTINGS
from jstyle.errors import InputError
from jstyle.runtime import jt
from tests.parity.networks import GOLDEN, golden

RECORDED, DRAWN = {**golden("schedulers"), **golden("few_step")}, np.load(GOLDEN / "samplers.npz")
INITIAL, DRIFT, NOISES = DRAWN["initial"], DRAWN["drift"], DRAWN["noises"]
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
OWN = {
    "DDIMScheduler": {"clip_sample": False, "set_alpha_to_one": False},
    "DDPMScheduler": {"clip_sample": False},
    "PNDMScheduler": {"skip_prk_steps": True},
}
CLASSES = [name for name in SCHEDULER_SETTINGS if name != "DDIMInverseScheduler"]
SOLVERS = (
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "DEISMultistepScheduler",
    "UniPCMultistepScheduler",
)
TOLERANCE = 1e-5


def make(name: str, **changes: Any) -> Any:
    return getattr(jstyle, name)(**{**SD, "prediction_type": "v_prediction", **OWN.get(name, {}), **changes})


def error(found: Any, wanted: np.ndarray) -> float:
    found = found.numpy() if isinstance(found, jt.Var) else found
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def network(x: jt.Var, t: Any) -> jt.Var:
    return jt.tanh(0.7 * x + jt.array(DRIFT) * math.sin(float(t) / 150))


def run(scheduler: Any, first: int = 0, move: bool = False, **times: Any) -> list[np.ndarray]:
    """The samples of a run from the timestep ``first`` on; its caller moves them between steps where it is told to."""
    scheduler.set_timesteps(**times or {"num_inference_steps": 7})
    x, samples = jt.array(INITIAL) * scheduler.init_noise_sigma, []
    for call, t in enumerate(scheduler.timesteps[first:]):
        output = network(scheduler.scale_model_input(x, t), t)
        x = scheduler.step(output, t, x, variance_noise=NOISES[call]).prev_sample
        samples.append(np.array(x.numpy()))
        if move:
            x = 0.9 * x + 0.1 * jt.array(DRIFT)
    return samples


@pytest.mark.parametrize("name", CLASSES)
def test_times_and_scales_are_diffusers(name: str) -> None:
    scheduler, times = make(name), np.array([0, 640])
    noise = np.broadcast_to(DRIFT, INITIAL.shape)
    # before their steps are set, diffusers' solvers noise to the mirrored time
    noisy = RECORDED[f"{'DDPMScheduler' if name in SOLVERS else name}_noisy"]
    assert error(scheduler.add_noise(INITIAL, noise, times), noisy) < TOLERANCE
    assert error(scheduler.add_noise(jt.array(INITIAL), noise, jt.array(times)), noisy) < TOLERANCE
    velocity = scheduler.get_velocity(INITIAL, noise, times)
    assert error(velocity, RECORDED["DDPMScheduler_velocity"]) < TOLERANCE
    scheduler.set_timesteps(np.int64(7), device="cuda")
    later = scheduler.add_noise(INITIAL, noise, scheduler.timesteps[[2, 4]])
    assert error(later, RECORDED[f"{name}_noisy_later"]) < TOLERANCE
    # diffusers finds the time of a sigma in float32
    np.testing.assert_allclose(scheduler.timesteps.numpy(), RECORDED[f"{name}_timesteps"], rtol=1e-6, atol=2e-3)
    assert scheduler.init_noise_sigma == pytest.approx(float(RECORDED[f"{name}_init"]), rel=1e-5)
    wanted = RECORDED.get(f"{name}_sigmas")
    if wanted is not None:  # diffusers ends KDPM2's with more zeros, and DEIS' above 0
        found = scheduler.sigmas.numpy()[:-1]
        np.testing.assert_allclose(found, wanted[: len(found)], rtol=2e-5)


@pytest.mark.parametrize("name", CLASSES)
def test_what_the_caller_does_to_the_sample_is_obeyed(name: str) -> None:
    for found, wanted in zip(run(make(name), move=True), RECORDED[f"{name}_changed"]):
        assert error(found, wanted) < TOLERANCE


def test_pndm_begins_as_its_configuration_says() -> None:
    """From a DDIM's configuration, as scripts write it, with Runge-Kutta steps: the sampler's own, call by call."""
    scheduler = jstyle.PNDMScheduler.from_config(make("DDIMScheduler").config)
    assert scheduler.sampler.name == "pndm_rk" and make("PNDMScheduler").sampler.name == "pndm"
    samples = run(scheduler)
    levels = scheduler.sampler.list_calls(scheduler.schedule, 7)
    assert len(samples) == len(levels) == 7 - 3 + 12
    assert [level.t for level in levels[:5]] == [852, 781, 781, 710, 710]

    def denoise(x: jt.Var, level: Level, step: int) -> Prediction:
        return to_prediction(network(x, level.t), x, level.alpha_bar, "v_prediction")

    *_, last = scheduler.sampler(denoise, jt.array(INITIAL), scheduler.schedule, 7)
    assert error(samples[-1], last.x.numpy()) < TOLERANCE
    back = jstyle.PNDMScheduler.from_config(dict(scheduler.config), skip_prk_steps=True)
    assert back.sampler.name == "pndm" and back.schedule.config.to_dict()["skip_prk_steps"] is True
    assert scheduler.schedule.config.to_dict()["skip_prk_steps"] is False


@pytest.mark.parametrize("name", [name for name in CLASSES if f"{name}_later" in RECORDED])
def test_a_run_begins_at_whatever_time_it_is_given(name: str) -> None:
    scheduler = make(name)
    for found, wanted in zip(run(scheduler, 3 * scheduler.order), RECORDED[f"{name}_later"]):
        assert error(found, wanted) < TOLERANCE


def answer_exactly(x: jt.Var, alpha_bar: float) -> jt.Var:
    """The velocity that the exact network of data from N(0, 1/4) answers."""
    return x * (0.75 * (alpha_bar * (1 - alpha_bar)) ** 0.5 / (0.25 * alpha_bar + 1 - alpha_bar))


def run_from_the_middle(name: str) -> tuple[Any, int, np.ndarray]:
    """A scheduler of 50 steps, the level of its first step, and INITIAL, in our scale, after the last."""
    scheduler = make(name, timestep_spacing="leading")
    scheduler.set_timesteps(50)
    times = scheduler.timesteps.numpy()[21:]
    start = int(np.searchsorted(-np.unique(scheduler.timesteps.numpy())[::-1], -times[0]))
    x = jt.array(INITIAL) / (scheduler.scale_model_input(jt.ones(1), times[0]))
    for t in times:
        output = answer_exactly(scheduler.scale_model_input(x, t), scheduler.schedule.level(float(t)).alpha_bar)
        x = scheduler.step(output, t, x).prev_sample
    return scheduler, start, x.numpy()


def test_lms_from_the_middle_follows_the_exact_flow() -> None:
    """diffusers' is 3% off: it weighs the slopes that it has as the first of four."""
    scheduler, start, found = run_from_the_middle("LMSDiscreteScheduler")
    alpha_bar = scheduler.schedule.levels(50, whole=False)[start].alpha_bar
    assert error(found, INITIAL * (0.25 / (0.25 * alpha_bar + 1 - alpha_bar)) ** 0.5) < 1e-3


def test_pndm_from_the_middle_is_the_sampler_but_for_its_second_look_at_the_first_step() -> None:
    """diffusers' is 1% off, because all times but the first two are fed to samples of the level before."""
    scheduler, start, found = run_from_the_middle("PNDMScheduler")

    def denoise(x: jt.Var, level: Level, step: int) -> Prediction:
        return to_prediction(answer_exactly(x, level.alpha_bar), x, level.alpha_bar, "v_prediction")

    *_, last = scheduler.sampler(denoise, jt.array(INITIAL), scheduler.schedule, 50, start=start)
    assert error(found, last.x.numpy()) < 1e-3


@pytest.mark.parametrize("name", CLASSES)
def test_a_scheduler_is_used_again(name: str) -> None:
    """After `set_timesteps`, and without it once a run is over or its first time comes again."""
    scheduler = make(name)
    whole = run(scheduler)
    again = run(scheduler)
    np.testing.assert_array_equal(whole, again)
    x, times = jt.array(INITIAL) * scheduler.init_noise_sigma, scheduler.timesteps
    for _ in range(2):
        output = network(scheduler.scale_model_input(x, times[0]), times[0])
        once = scheduler.step(output, times[0], x, variance_noise=NOISES[0], return_dict=False)[0]
        np.testing.assert_allclose(once.numpy(), whole[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in CLASSES if f"{name}_listed" in RECORDED])
def test_times_are_the_callers_own(name: str) -> None:
    scheduler = make(name)
    found = run(scheduler, timesteps=[900, 600, 300, 100])
    assert scheduler.num_inference_steps == 4 and len(found) == len(RECORDED[f"{name}_listed"])
    for sample, wanted in zip(found, RECORDED[f"{name}_listed"]):
        assert error(sample, wanted) < TOLERANCE
    scheduler.set_timesteps(7)
    np.testing.assert_allclose(scheduler.timesteps.numpy(), RECORDED[f"{name}_timesteps"], rtol=1e-6, atol=2e-3)


@pytest.mark.parametrize("name", ["LCMScheduler", "TCDScheduler"])
def test_the_times_that_a_distillation_visited_can_be_asked_for(name: str) -> None:
    scheduler = make(name)
    scheduler.set_timesteps(4, original_inference_steps=100)
    np.testing.assert_array_equal(scheduler.timesteps.numpy(), RECORDED[f"{name}_asked"])
    scheduler.set_timesteps(7)
    np.testing.assert_array_equal(scheduler.timesteps.numpy(), RECORDED[f"{name}_timesteps"])


def test_sigmas_are_the_callers_own() -> None:
    scheduler = make("EulerDiscreteScheduler")
    scheduler.set_timesteps(sigmas=[12.0, 6.0, 1.0, 0.0])
    np.testing.assert_allclose(scheduler.sigmas.numpy(), [12, 6, 1, 0], rtol=1e-6)
    assert not hasattr(make("DDIMScheduler"), "sigmas")


def test_steps_that_are_set_anew_begin_anywhere() -> None:
    scheduler = make("LMSDiscreteScheduler")
    scheduler.set_timesteps(7)
    scheduler.step(INITIAL, 999, INITIAL)
    scheduler.set_timesteps(7)
    assert scheduler.step_index is None
    scheduler.step(INITIAL, 333, INITIAL)
    assert scheduler.step_index == 5


@pytest.mark.parametrize(
    "name", ["DDPMScheduler", "EulerAncestralDiscreteScheduler", "KDPM2AncestralDiscreteScheduler"]
)
def test_noise_is_the_next_of_a_generator(name: str) -> None:
    def end(generator: Any) -> np.ndarray:
        scheduler = make(name)
        scheduler.set_timesteps(3)
        x = jt.array(INITIAL)
        for t in scheduler.timesteps:
            x = scheduler.step(network(x, t), t, x, generator=generator).prev_sample
        return np.array(x.numpy())

    for make_generator in (np.random.default_rng, np.random.RandomState):
        np.testing.assert_array_equal(end(make_generator(3)), end(make_generator(3)))
        assert error(end(make_generator(4)), end(make_generator(3))) > 0.01
    both = [end([np.random.default_rng(seed) for seed in seeds]) for seeds in ((3, 4), (3, 5))]
    np.testing.assert_allclose(both[0][0], both[1][0], rtol=1e-6)
    jt.set_global_seed(5)
    first = end(None)
    jt.set_global_seed(5)
    np.testing.assert_array_equal(first, end(None))
    with pytest.raises(InputError, match="3 generators were given for 2 rows"):
        end([np.random.default_rng(0)] * 3)
    with pytest.raises(InputError, match="generator must be a number, NumPy's Generator or RandomState"):
        end("7")
    with pytest.raises(InputError, match="a seed not negative: -1"):
        end(-1)


@pytest.mark.parametrize("name", ["euler_a", "ddpm", "kdpm2_a"])
def test_a_seed_is_the_noise_of_a_pipelines_call(name: str) -> None:
    """A loop by hand, told a number as its generator, comes to the latents of a call with that seed."""
    pipe = jstyle.StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))
    kind = {"euler_a": "EulerAncestralDiscreteScheduler", "ddpm": "DDPMScheduler"}.get(name)
    scheduler = getattr(jstyle, kind or "KDPM2AncestralDiscreteScheduler").from_config(pipe.scheduler.config)
    pipe.scheduler = scheduler
    start = np.random.default_rng(1).standard_normal((2, 4, 8, 8)).astype(np.float32)
    size: dict[str, Any] = {"height": 32, "width": 32, "num_inference_steps": 3, "guidance_scale": 1.0}
    made = pipe(["a", "a"], latents=start, seed=7, output_type="latent", **size).images
    text, _ = pipe.encode_prompt(["a", "a"], do_classifier_free_guidance=False)
    for generator in (7, [np.int64(7), 8]):
        scheduler.set_timesteps(3)
        x = jt.array(start) * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            output = pipe.unet(scheduler.scale_model_input(x, t), t, text).sample
            x = scheduler.step(output, t, x, generator=generator).prev_sample
        assert error(x, made) < 1e-5


def test_the_output_is_read_as_in_diffusers() -> None:
    scheduler = make("DDIMScheduler")
    scheduler.set_timesteps(7)
    x, t = jt.array(INITIAL), scheduler.timesteps[0]
    output = scheduler.step(network(x, t), t, x, eta=0.5, generator=np.random.default_rng(0))
    assert output[0] is output.prev_sample is output["prev_sample"] and list(output) == list(output.keys())
    assert output[1] is output.pred_original_sample and len(output.to_tuple()) == 2
    assert len(scheduler.step(network(x, t), t, x, return_dict=False)) == 2
    scheduler = make("UniPCMultistepScheduler")
    scheduler.set_timesteps(7)
    assert len(scheduler.step(network(x, 999), 999, x, return_dict=False)) == 1
    assert len(scheduler) == 1000 and scheduler.order == 1 and scheduler.step_index == 1


@pytest.mark.parametrize("name", CLASSES)
def test_the_constructor_and_the_step_are_found_as_scripts_look_for_them(name: str) -> None:
    names = inspect.signature(getattr(jstyle, name).step).parameters
    assert "generator" in names and ("eta" in names) == (name in ("DDIMScheduler", "TCDScheduler"))
    scheduler = getattr(jstyle, name)(500, **OWN.get(name, {}))
    assert len(scheduler) == len(scheduler.alphas_cumprod.numpy()) == 500
    assert scheduler.config.beta_start == scheduler.config["beta_start"] == SCHEDULER_SETTINGS[name]["beta_start"]
    np.testing.assert_allclose(np.cumprod(scheduler.alphas.numpy()), scheduler.alphas_cumprod.numpy(), rtol=1e-4)
    np.testing.assert_allclose(scheduler.betas.numpy()[0], scheduler.config.beta_start, rtol=1e-4)


# Configs


@pytest.mark.parametrize("case", json.loads(str(RECORDED["spacings"])), ids=str)
def test_a_spacing_is_handed_on_where_diffusers_hands_it_on(case: list[Any], tmp_path: Path) -> None:
    source, target, how, named, spacing = case
    kind, own = getattr(jstyle, source), OWN.get(source, {})
    scheduler = kind(**own, **named)
    if how == "saved":
        scheduler.save_pretrained(tmp_path)
    elif how == "bare":
        plain = {"_class_name": source, **own, **named}
        (tmp_path / "scheduler_config.json").write_text(json.dumps(plain))
    if how != "made":
        scheduler = kind.from_pretrained(tmp_path)
    assert getattr(jstyle, target).from_config(scheduler.config).config.timestep_spacing == spacing


def test_what_another_class_does_not_have_comes_back() -> None:
    euler = jstyle.EulerDiscreteScheduler.from_config(make("DDIMScheduler").config, use_karras_sigmas=True)
    assert euler.config.use_karras_sigmas and euler.config.beta_schedule == "scaled_linear"
    back = jstyle.DDIMScheduler.from_config(dict(euler.config))
    assert back.config.set_alpha_to_one is False and back.config.clip_sample is False
    assert back.schedule.config == make("DDIMScheduler").schedule.config


def test_a_checkpoints_schedule_is_read() -> None:
    scheduler = jstyle.DDPMScheduler.from_pretrained("tiny", subfolder="scheduler")
    assert scheduler.config.prediction_type == "v_prediction" and scheduler.config.variance_type == "fixed_small"
    scheduler = jstyle.DPMSolverMultistepScheduler.from_pretrained(
        "tiny", subfolder="scheduler", algorithm_type="sde-dpmsolver++", local_files_only=True
    )
    assert scheduler.sampler.name == "dpmpp_2m_sde" and scheduler.config.timestep_spacing == "leading"
    with pytest.raises(AttributeError, match=r"from_config\(config, steps_offset=...\)"):
        scheduler.config.steps_offset = 3


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: jstyle.DDIMScheduler(beta_strat=0.1), "DDIMScheduler: the setting 'beta_strat' is not known; did you"),
        (lambda: jstyle.DDIMScheduler(beta_schedule="cubic"), "DDIMScheduler: beta_schedule is 'cubic'; it must be"),
        (lambda: jstyle.DDIMScheduler(thresholding=True), "DDIMScheduler: thresholding true is not supported by ddim"),
        (
            lambda: jstyle.PNDMScheduler().set_timesteps(3),
            "pndm_rk begins with three steps of Runge and Kutta's and needs four, not 3: take more, or the sampler",
        ),
        (lambda: jstyle.HeunDiscreteScheduler(clip_sample=True), "HeunDiscreteScheduler: clip_sample is for DDIMSch"),
        (
            lambda: jstyle.DPMSolverMultistepScheduler(algorithm_type="dpmsolver"),
            "DPMSolverMultistepScheduler: solver_order 2 and algorithm_type 'dpmsolver' is not supported, only",
        ),
        (lambda: jstyle.DDIMScheduler.from_config("tiny"), "DDIMScheduler: wanted a scheduler's config, got str"),
        (lambda: make("DDIMScheduler").step(INITIAL, 1, INITIAL), "DDIMScheduler: call set_timesteps before step"),
        (lambda: make("DDIMScheduler").set_timesteps(0), "the number of steps must be a whole number from 1 to 1000"),
        (lambda: make("DDIMScheduler").set_timesteps(), "DDIMScheduler: set_timesteps wants a number of steps, or a l"),
        (lambda: make("EulerDiscreteScheduler").set_timesteps(5, timesteps=[9]), "a number of steps, or a list of"),
        (lambda: make("DDIMScheduler").set_timesteps(timesteps=[9, 3]), "ddim takes no list of timesteps or sigmas"),
        (lambda: make("DDIMScheduler").set_timesteps(7, devise=1), "no argument 'devise'; did you mean device?"),
        (lambda: make("DDIMScheduler").set_timesteps(7, mu=0.5), "DDIMScheduler: set_timesteps has no 'mu' here"),
        (
            lambda: make("DDIMScheduler").add_noise(INITIAL, INITIAL[:1], 3),
            "DDIMScheduler: wanted noise of the samples",
        ),
        (lambda: make("DDIMScheduler").add_noise(INITIAL, INITIAL, 1000), "time 1000 is beyond the last training time"),
        (lambda: make("DDIMScheduler").add_noise(INITIAL, INITIAL, [1, 2, 3]), "DDIMScheduler: wanted one timestep or"),
        (lambda: step("DDIMScheduler", 500), "DDIMScheduler: no step begins at time 500; take the times from its"),
        (lambda: step("EulerDiscreteScheduler", 999, s_churn=0.5), "EulerDiscreteScheduler: step has no s_churn=0.5"),
        (lambda: step("EulerDiscreteScheduler", 999, speed=1), "EulerDiscreteScheduler.step has no argument 'speed'"),
        (lambda: make("LCMScheduler").set_timesteps(51), "distilled from 50 steps takes at most as many, not 51"),
        (lambda: make("LCMScheduler").set_timesteps(4, strength=0.5), "LCMScheduler: set_timesteps has no strength"),
        (lambda: jstyle.TCDScheduler(original_inference_steps=0), "original_inference_steps must be a whole number"),
        (lambda: jstyle.LCMScheduler(timestep_scaling=0.0), "timestep_scaling must be over 0, not 0"),
        (lambda: step("TCDScheduler", 999, eta=2.0), "eta must be from 0 to 1, not 2"),
        (lambda: step("DDIMScheduler", 852, eta=2.0), "eta must be from 0 to 1, not 2"),
        (lambda: step("LMSDiscreteScheduler", 999, 333), "LMSDiscreteScheduler: the next timestep is 832.5, not 333"),
        (lambda: step("EulerDiscreteScheduler", 999, s_churn=np.zeros(2)), "step has no s_churn=array([0., 0.]) here"),
        (lambda: make("EulerDiscreteScheduler").scale_model_input(INITIAL), "wanted numbers as timesteps, got None"),
    ],
)
def test_what_cannot_be_is_a_line(call: Any, line: str) -> None:
    with pytest.raises(InputError) as refused:
        call()
    assert line in str(refused.value)


@pytest.mark.parametrize("name", CLASSES)
def test_arrays_of_other_shapes_are_refused_before_a_step_is_taken(name: str) -> None:
    scheduler = make(name)
    scheduler.set_timesteps(7)
    t = scheduler.timesteps[0]
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (INITIAL[:1], {}, f"{name}: wanted a network's output of the sample's shape"),
        (INITIAL[..., :1], {}, f"{name}: wanted a network's output of the sample's shape"),
        (INITIAL, {"variance_noise": INITIAL[:1]}, f"{name}: wanted variance_noise of the sample's shape"),
        (INITIAL, {"variance_noise": INITIAL * np.nan}, f"{name}: variance_noise must be finite numbers"),
    ]
    for output, noise, line in wrong:
        with pytest.raises(InputError, match=line):
            scheduler.step(output, t, INITIAL, **noise)
        assert scheduler.step_index is None
    scheduler.step(INITIAL, t, INITIAL, variance_noise=INITIAL)


@pytest.mark.parametrize("name", ["LCMScheduler", "TCDScheduler"])
@pytest.mark.parametrize("visited", ["a", math.nan, 0, -1, [], 1001, True])
def test_the_number_of_visited_times_is_a_whole_one(name: str, visited: Any) -> None:
    with pytest.raises(InputError, match=f"{name}: original_inference_steps must be a whole number from 1 to 1000"):
        make(name).set_timesteps(4, original_inference_steps=visited)


@pytest.mark.parametrize("name", ["LCMScheduler", "TCDScheduler"])
@pytest.mark.parametrize("strength", ["a", math.nan, np.ones(2)])
def test_a_strength_that_is_no_number_is_refused(name: str, strength: Any) -> None:
    with pytest.raises(InputError, match=f"{name}: strength must be a finite number"):
        make(name).set_timesteps(4, strength=strength)


@pytest.mark.parametrize("name", ["DDIMScheduler", "TCDScheduler"])
@pytest.mark.parametrize("eta", ["a", None, [], math.nan, np.ones(2)])
def test_an_eta_that_is_no_number_is_refused(name: str, eta: Any) -> None:
    scheduler = make(name)
    scheduler.set_timesteps(7)
    with pytest.raises(InputError, match=f"{name}: eta must be a finite number"):
        scheduler.step(INITIAL, scheduler.timesteps[0], INITIAL, eta=eta)


@pytest.mark.parametrize("name", ["DDIMScheduler", "EulerDiscreteScheduler"])
@pytest.mark.parametrize(
    ("time", "line"),
    [
        ([math.nan], "wanted finite numbers as timesteps, got nan"),
        (math.inf, "wanted finite numbers as timesteps, got inf"),
        (-5, "wanted timesteps of at least 0, got -5"),
        (1e9, "is beyond the last training time 999"),
        ("5", "wanted numbers as timesteps, got str"),
        (True, "wanted numbers as timesteps, got bool"),
        (None, "wanted numbers as timesteps, got NoneType"),
    ],
)
def test_a_time_that_cannot_be_is_refused(name: str, time: Any, line: str) -> None:
    for call in (make(name).add_noise, make(name).get_velocity):
        with pytest.raises(InputError, match=line):
            call(INITIAL, INITIAL, time)


@pytest.mark.parametrize("time", ["a", None, [1, 2], math.nan])
def test_shares_at_no_time_are_refused(time: Any) -> None:
    with pytest.raises(InputError, match="LCMScheduler: wanted .*timestep"):
        make("LCMScheduler").get_scalings_for_boundary_condition_discrete(time)


def step(name: str, *times: float, **options: Any) -> None:
    scheduler = make(name)
    scheduler.set_timesteps(7)
    for time in times:
        scheduler.step(INITIAL, time, INITIAL, **options)
