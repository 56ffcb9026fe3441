"""The samplers and the inversion against closed forms, and against formulas written out anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from jstyle.diffusion.samplers import SAMPLERS, Step, ddim_invert, sampler
from jstyle.diffusion.samplers.levels import sigma
from jstyle.diffusion.schedule import Level, Prediction, Schedule, to_prediction
from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.errors import InputError
from jstyle.runtime import jt

ALPHA_BARS = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
NAMES = list(SAMPLERS)
DETERMINISTIC = [
    "ddim", "pndm", "pndm_rk", "lms", "euler", "heun", "kdpm2", "dpmpp_2m", "dpmpp_3m", "dpmpp_2s", "unipc",
]  # fmt: skip


def sd_schedule(**changes: Any) -> Schedule:
    settings = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    return Schedule(ScheduleConfig(**{**settings, "set_alpha_to_one": False, **changes}))


def unit_normal(seed: int = 0, shape: tuple[int, ...] = (3, 1, 3, 3)) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def gaussian(std: float) -> Callable[[jt.Var, Level, int], Prediction]:
    """The exact denoiser of data drawn from N(0, std^2)."""

    def denoise(x: jt.Var, level: Level, step: int) -> Prediction:
        power = level.alpha_bar * std**2 + 1 - level.alpha_bar
        return Prediction(x0=level.alpha_bar**0.5 * std**2 / power * x, eps=(1 - level.alpha_bar) ** 0.5 / power * x)

    return denoise


def curved(x: jt.Var, level: Level, step: int) -> Prediction:
    return to_prediction(jt.tanh(0.7 * x + level.t / 1000), x, level.alpha_bar, "v_prediction")


def run(name: str, x: np.ndarray, steps: int = 12, denoiser: Any = curved, **options: Any) -> list[Step]:
    schedule = options.pop("schedule", sd_schedule())
    if SAMPLERS[name].draws_noise(options.get("eta", 0.0)):
        options.setdefault("noise", lambda step: jt.array(unit_normal(100 + step, x.shape)))
    with jt.no_grad():
        return list(SAMPLERS[name](denoiser, jt.array(x), schedule, steps, **options))


# The samplers, on data whose flow is known: x / sqrt(alpha_bar std^2 + 1 - alpha_bar) never changes


def flow_error(name: str, steps: int, std: float = 0.5) -> float:
    """How far the sampler's whole run is from the probability flow's exact one, relative."""
    schedule = sd_schedule(timestep_spacing="trailing", set_alpha_to_one=True)
    x = unit_normal()
    ratio = run(name, x, steps, gaussian(std), schedule=schedule)[-1].x.numpy() / x
    first = schedule.levels(steps)[0].alpha_bar
    return float(np.abs(ratio * (first * std**2 + 1 - first) ** 0.5 / std - 1).max())


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_deterministic_samplers_converge_to_the_exact_flow(name: str) -> None:
    errors = [flow_error(name, steps) for steps in (10, 50, 250)]
    assert errors[2] < 0.02 and errors[0] > 3 * errors[1] > 9 * errors[2]


def test_higher_order_pays() -> None:
    of_first_order = flow_error("euler", 20)
    assert flow_error("lms", 20) < of_first_order / 20
    assert max(flow_error("dpmpp_2m", 20), flow_error("pndm", 20)) < 0.8 * of_first_order


@pytest.mark.parametrize(
    ("name", "eta"),
    [
        ("ddpm", 0.0),
        ("ddim", 1.0),
        ("euler_a", 0.0),
        ("kdpm2_a", 0.0),
        ("dpmpp_2m_sde", 0.0),
        ("dpmpp_sde", 0.0),
    ],
)
def test_stochastic_samplers_give_the_datas_spread(name: str, eta: float) -> None:
    x = unit_normal(3, (1, 1, 100, 200))
    last = run(name, x, 500, gaussian(0.5), eta=eta)[-1].x.numpy()
    assert last.std() == pytest.approx(0.5, rel=0.03)


def test_ddim_steps_by_the_closed_form() -> None:
    std, x = 0.5, unit_normal()
    for step in run("ddim", x, 10, gaussian(std)):
        here, there = ALPHA_BARS[int(step.level.t)], ALPHA_BARS[max(int(step.level.t) - 100, 0)]
        x = x * ((here * there) ** 0.5 * std**2 + ((1 - here) * (1 - there)) ** 0.5) / (here * std**2 + 1 - here)
        np.testing.assert_allclose(step.x.numpy(), x, rtol=2e-5)
        assert step.next_level.alpha_bar == pytest.approx(there)


# What every sampler promises


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_independent_and_runs_repeat_bit_for_bit(name: str) -> None:
    x = unit_normal()
    whole = run(name, x)
    again = run(name, x)
    alone = run(name, x[1:2], noise=lambda step: jt.array(unit_normal(100 + step)[1:2]))
    for step, repeated, single in zip(whole, again, alone):
        np.testing.assert_array_equal(step.x.numpy(), repeated.x.numpy())
        # the compiler fuses multiply and add in whole vectors only, so a row's place may change its last bit
        np.testing.assert_allclose(step.x.numpy()[1:2], single.x.numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_steps_are_lazy_and_the_callers_change_is_carried_on(name: str) -> None:
    seen = []

    def denoiser(x: jt.Var, level: Level, step: int) -> Prediction:
        seen.append((step, x.numpy().copy()))
        return curved(x, level, step)

    steps = SAMPLERS[name](
        denoiser, jt.array(unit_normal()), sd_schedule(), 10, start=3,
        noise=lambda step: jt.array(unit_normal()),
        after_step=lambda x, index, next_level: x * 0 + index + next_level.alpha_bar,
    )  # fmt: skip
    assert not seen
    first = next(steps)
    assert len(seen) == 1 and first.index == 3
    np.testing.assert_allclose(first.x.numpy(), 3 + first.next_level.alpha_bar, rtol=1e-6)
    next(steps)
    assert seen[1][0] == 4
    np.testing.assert_array_equal(seen[1][1], first.x.numpy())


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_does_not_grow(name: str) -> None:
    alive = []
    with jt.no_grad():
        options = {"noise": lambda step: jt.array(unit_normal())}
        for _ in SAMPLERS[name](curved, jt.array(unit_normal()), sd_schedule(), 30, **options):
            alive.append(jt.number_of_lived_ops())
    assert max(alive[-5:]) <= max(alive[4:9])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "pndm_rk"])  # which takes four
def test_one_step_is_enough_to_end_near_the_prediction(name: str) -> None:
    schedule = sd_schedule(timestep_spacing="trailing")
    (step,) = run(name, unit_normal(), 1, schedule=schedule)
    assert step.level.t == 999
    np.testing.assert_allclose(step.x.numpy(), step.x0.numpy(), atol=0.1)


@pytest.mark.parametrize(("options", "words"), [
    ({"steps": 0}, "number of steps"), ({"start": 12}, "from 0 to 11"), ({"start": -1}, "first step"),
    ({"spacing": "even"}, "timestep_spacing"),
])  # fmt: skip
def test_wrong_options_are_refused_by_all(options: dict[str, Any], words: str) -> None:
    for name in NAMES:
        with pytest.raises(InputError, match=words):
            run(name, unit_normal(), **options)


def test_wrong_options_are_refused_by_one() -> None:
    with pytest.raises(InputError, match="eta must be"):
        run("ddim", unit_normal(), eta=1.5)
    with pytest.raises(InputError, match="leave it at 0 for euler"):
        run("euler", unit_normal(), eta=0.5)
    with pytest.raises(InputError, match="source of noise"):
        run("ddpm", unit_normal(), noise=None)
    with pytest.raises(InputError, match="ddim, ddpm, pndm"):
        sampler("heuns")


# Inversion


def styleid_inversion(x: np.ndarray, eps_of: Callable[[np.ndarray, int], np.ndarray]) -> list[np.ndarray]:
    """StyleID's published loop, 50 steps: times 1, 21, ..., 981, the last step reaching 999."""
    times, trajectory = [*range(1, 1000, 20), 999], []
    for t, t_next in zip(times, times[1:]):
        eps = eps_of(x, t)
        x0 = (x - np.sqrt(1 - ALPHA_BARS[t]) * eps) / np.sqrt(ALPHA_BARS[t])
        x = np.sqrt(ALPHA_BARS[t_next]) * x0 + np.sqrt(1 - ALPHA_BARS[t_next]) * eps
        trajectory.append(x)
    return trajectory


def test_current_inversion_is_styleids() -> None:
    def eps_of(x: np.ndarray, t: int) -> np.ndarray:
        v = np.tanh(0.7 * x + t / 1000)
        return np.sqrt(ALPHA_BARS[t]) * v + np.sqrt(1 - ALPHA_BARS[t]) * x

    x = unit_normal()
    reference = styleid_inversion(x.astype(np.float64), eps_of)
    with jt.no_grad():
        steps = list(ddim_invert(curved, jt.array(x), sd_schedule(), 50, "current"))
    assert [step.level.t for step in steps] == list(range(1, 1000, 20))
    assert [step.next_level.t for step in steps] == [*range(21, 1000, 20), 999]
    for step, expected in zip(steps, reference):
        assert np.linalg.norm(step.x.numpy() - expected) < 1e-5 * np.linalg.norm(expected)


def round_trip_loss(steps: int, read_at_the_time_fed: bool) -> float:
    """The share of the norm lost on the way to noise and back by the exact v network of N(0, 1): zero."""
    schedule = sd_schedule()

    def denoiser(x: jt.Var, level: Level, step: int) -> Prediction:
        here = level if read_at_the_time_fed else schedule.level(level.t - schedule.stride(steps))
        return to_prediction(x * 0, x, here.alpha_bar, "v_prediction")

    x = unit_normal()
    with jt.no_grad():
        noise = list(ddim_invert(denoiser, jt.array(x), schedule, steps, "target"))[-1].x
    back = run("ddim", noise.numpy(), steps, gaussian(1.0))[-1].x.numpy()
    return 1 - float(np.linalg.norm(back) / np.linalg.norm(x))


@pytest.mark.parametrize(("steps", "bound"), [(20, 0.006), (50, 0.0015)])
def test_round_trip_keeps_the_norm_only_if_v_is_read_at_the_time_fed(steps: int, bound: float) -> None:
    assert abs(round_trip_loss(steps, read_at_the_time_fed=True)) < bound
    assert round_trip_loss(steps, read_at_the_time_fed=False) > 30 * bound / 2


@pytest.mark.parametrize("convention", ["current", "target"])
def test_finer_round_trips_lose_less(convention: str) -> None:
    losses, x = [], unit_normal()
    for steps in (20, 50, 100):
        with jt.no_grad():
            noise = list(ddim_invert(gaussian(0.8), jt.array(x), sd_schedule(), steps, convention))[-1].x.numpy()
        back = run("ddim", noise, steps, gaussian(0.8))[-1].x.numpy()
        losses.append(np.linalg.norm(back - x) / np.linalg.norm(x))
    assert losses[0] > 1.9 * losses[1] > 3.6 * losses[2] and losses[2] < 0.04


@pytest.mark.parametrize("denoiser", [gaussian(0.8), curved], ids=["gaussian", "curved"])
@pytest.mark.parametrize("steps", [10, 20, 50])
def test_each_further_call_brings_an_inversion_nearer_to_what_undoes_it(denoiser: Any, steps: int) -> None:
    """A step that is solved exactly is undone exactly, so the round trip loses what is left to solve."""
    x, losses, fed = unit_normal(), [], []

    def counted(x: jt.Var, level: Level, step: int) -> Prediction:
        fed.append((step, level.t))
        return denoiser(x, level, step)

    for calls in (0, 1, 2, 3):
        fed.clear()
        with jt.no_grad():
            path = ddim_invert(counted, jt.array(x), sd_schedule(), steps, "target", fixed_point=calls)
            noise = list(path)[-1].x.numpy()
        assert fed == [(step, 1 + step * (1000 // steps)) for step in range(steps) for _ in range(1 + calls)]
        back = run("ddim", noise, steps, denoiser)[-1].x.numpy()
        losses.append(np.linalg.norm(back - x) / np.linalg.norm(x))
    floor = 3e-6  # float32
    assert all(after < max(before / 3, floor) for before, after in zip(losses, losses[1:])), losses


def test_the_inversion_that_is_not_fed_where_it_arrives_has_no_further_calls() -> None:
    with pytest.raises(InputError, match="fixed_point needs the inversion target"):
        next(ddim_invert(curved, jt.array(unit_normal()), sd_schedule(), 10, "current", fixed_point=1))


def test_an_unknown_convention_lists_the_two() -> None:
    with pytest.raises(InputError, match="current, target"):
        next(ddim_invert(curved, jt.array(unit_normal()), sd_schedule(), 10, "backwards"))


# Curves of sigmas


def test_karras_sigmas_are_even_in_the_seventh_root() -> None:
    levels = SAMPLERS["dpmpp_2m"].follow("karras").levels(sd_schedule(), 9)
    roots = np.array([sigma(level) for level in levels]) ** (1 / 7)
    np.testing.assert_allclose(np.diff(roots), roots[1] - roots[0], rtol=1e-9)
    ends = (1 / ALPHA_BARS[[999, 0]] - 1) ** 0.5
    np.testing.assert_allclose([roots[0] ** 7, roots[-1] ** 7], ends, rtol=1e-9)


def test_exponential_sigmas_are_even_in_the_logarithm() -> None:
    logs = np.log([sigma(level) for level in SAMPLERS["euler"].follow("exponential").levels(sd_schedule(), 9)])
    np.testing.assert_allclose(np.diff(logs), logs[1] - logs[0], rtol=1e-9)


def test_beta_sigmas_hold_even_shares_of_the_distribution() -> None:
    """Between neighbours lies the same share of B(0.6, 0.6), integrated numerically over t = sin(a)^2."""
    levels = SAMPLERS["dpmpp_2m"].follow("beta").levels(sd_schedule(), 7)
    sigmas = np.array([sigma(level) for level in levels])
    angles = np.arcsin(((sigmas - sigmas[-1]) / (sigmas[0] - sigmas[-1])) ** 0.5)

    def share(low: float, high: float) -> float:
        middles = low + (high - low) * (np.arange(200_000) + 0.5) / 200_000
        return float((2 * (np.sin(middles) * np.cos(middles)) ** 0.2).mean() * (high - low))

    shares = [share(low, high) for high, low in zip(angles, angles[1:])]
    np.testing.assert_allclose(shares, np.mean(shares), rtol=1e-4)


def test_align_your_steps_has_its_ten_times_and_lies_between_them_for_others() -> None:
    aligned = SAMPLERS["dpmpp_2m"].follow("ays")
    ten = [level.t for level in aligned.levels(sd_schedule(), 10)]
    assert ten == [999, 850, 736, 645, 545, 455, 343, 233, 124, 24]
    twenty = aligned.levels(sd_schedule(), 20)
    assert [round(sigma(level), 6) for level in twenty[::2]] == [
        round(sigma(level), 6) for level in aligned.levels(sd_schedule(), 10)
    ]


@pytest.mark.parametrize("curve", ["karras", "exponential", "beta", "ays"])
def test_curves_lead_to_the_exact_flow_too(curve: str) -> None:
    schedule, x = sd_schedule(set_alpha_to_one=True), unit_normal()
    errors = []
    for steps in (12, 48):
        sampler_along = SAMPLERS["dpmpp_2m"].follow(curve)
        first = sampler_along.levels(schedule, steps)[0].alpha_bar
        with jt.no_grad():
            last = list(sampler_along(gaussian(0.5), jt.array(x), schedule, steps))[-1].x.numpy()
        errors.append(float(np.abs(last / x * (first * 0.25 + 1 - first) ** 0.5 / 0.5 - 1).max()))
    assert errors[1] < 0.55 * errors[0] and errors[1] < 0.06


def test_samplers_that_go_by_times_follow_no_curve() -> None:
    with pytest.raises(InputError, match="karras sigmas are for lms, euler"):
        SAMPLERS["ddim"].follow("karras")
