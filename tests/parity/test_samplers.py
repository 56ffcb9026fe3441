"""Every sampler, call by call, against diffusers 0.42.1 (tests/golden/record_{samplers,solvers,few_step}.py)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jstyle.diffusion.samplers import SAMPLERS, ddim_invert
from jstyle.diffusion.samplers.levels import midpoint_levels, sigma_levels
from jstyle.diffusion.schedule import Level, Prediction, Schedule, to_prediction
from jstyle.diffusion.schedule_config import CURVES, ScheduleConfig
from jstyle.runtime import jt

FOLDER = Path(__file__).parents[1] / "golden"
GOLDEN = np.load(FOLDER / "samplers.npz")


def read_cases(name: str) -> list[dict[str, Any]]:
    """The cases of a recording, each with the times and samples of its calls."""
    recorded = np.load(FOLDER / name)
    times, samples = recorded["times"], recorded["samples"]
    cases = json.loads(str(recorded["cases"]))
    for case in cases:
        calls = slice(case["first"], case["first"] + case["calls"])
        case.update(times=times[calls], samples=samples[calls])
    return cases


FILES = ("samplers.npz", "samplers_runge_kutta.npz", "solvers.npz", "few_step.npz")
CASES = [case for name in FILES for case in read_cases(name)]
ZERO_SNR = np.load(FOLDER / "samplers_zero_snr.npz")
ZERO_SNR_CASES = [*read_cases("samplers_zero_snr.npz"), *read_cases("solvers_zero_snr.npz")]
# Measured: under 2.5e-6, but 6e-6 for "sample": diffusers has 1 - alpha_bar near t = 0 in float32.
TOLERANCE = 1e-5


def label(case: dict[str, Any]) -> str:
    config = case["config"]
    parts = [
        case["name"],
        config["prediction_type"],
        config.get("timestep_spacing", "linspace"),
        f"offset{config.get('steps_offset', 0)}",
    ]
    parts += [f"{key}{case[key]}" for key in ("steps", "start", "eta")]
    flags = ("clip_sample", "set_alpha_to_one", *CURVES.values())
    return "-".join(parts + [key for key in flags if config.get(key)])


def schedule_of(case: dict[str, Any]) -> Schedule:
    config = dict(case["config"])
    if case["name"] == "inverse":
        config["_class_name"] = "DDIMScheduler"
    return Schedule(ScheduleConfig.from_dict(config))


class Network:
    """tanh(0.7 x + drift sin(t / 150)), read as the schedule's prediction type."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule, self.drift = schedule, jt.array(GOLDEN["drift"])

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        output = jt.tanh(0.7 * x + math.sin(level.t / 150) * self.drift)
        return to_prediction(output, x, level.alpha_bar, self.schedule.prediction_type)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_every_step_is_diffusers(case: dict[str, Any]) -> None:
    compare_steps(case)


@pytest.mark.parametrize("case", ZERO_SNR_CASES, ids=label)
def test_every_step_from_pure_noise_is_diffusers(case: dict[str, Any]) -> None:
    first = SAMPLERS[case["name"]].levels(schedule_of(case), case["steps"])[0]
    if case["config"]["timestep_spacing"] == "leading":
        assert first.alpha_bar > 0.001
    else:
        assert first == Level(999.0, 0.0 if case["name"] in ("ddim", "ddpm") else 2.0**-24)
    # At pure noise diffusers' float32 leaves of what is 0 the root of a rounding error (eta 1), and takes x0 from an x
    # of 4096 times its size (euler).
    is_rough = case["eta"] or (case["name"], case["config"]["prediction_type"]) == ("euler", "sample")
    compare_steps(case, 4e-4 if is_rough else 2 * TOLERANCE if case["name"] == "euler_a" else TOLERANCE)


def test_alpha_bars_down_to_zero_are_diffusers() -> None:
    schedule = schedule_of(ZERO_SNR_CASES[0])
    assert schedule.alpha_bars[-1] == 0.0
    np.testing.assert_allclose(schedule.alpha_bars, ZERO_SNR["alpha_bars"], rtol=1e-4, atol=1e-7)


def compare_steps(case: dict[str, Any], tolerance: float = TOLERANCE) -> None:
    schedule, steps, start = schedule_of(case), case["steps"], case["start"]
    initial = jt.array(GOLDEN["initial"])
    with jt.no_grad():
        if case["name"] == "inverse":
            run = ddim_invert(Network(schedule), initial, schedule, steps, "target")
        else:
            sampler = SAMPLERS[case["name"]]
            assert len(sampler.list_calls(schedule, steps, start=start)) == case["calls"]
            scale = 1.0 if start else sampler.initial_scale(schedule, steps)
            run = sampler(
                Network(schedule), initial * scale, schedule, steps, start=start, eta=case["eta"],
                noise=lambda step: jt.array(GOLDEN["noises"][step % 20]),
            )  # fmt: skip
        taken = list(run)
    # diffusers finds the time of a sigma in float32
    np.testing.assert_allclose([step.level.t for step in taken], case["times"], rtol=1e-6, atol=2e-3)
    assert [step.index for step in taken] == list(range(start, start + case["calls"]))
    for step, reference in zip(taken, case["samples"]):
        error = np.linalg.norm(step.x.numpy() - reference) / np.linalg.norm(reference)
        assert error < tolerance, f"call {step.index} at t {step.level.t:g}: relative error {error:.1e}"


@pytest.mark.parametrize("case", [case for case in CASES if case["name"] in SAMPLERS and not case["start"]], ids=label)
def test_initial_scale_is_diffusers_in_our_scale(case: dict[str, Any]) -> None:
    schedule, sampler = schedule_of(case), SAMPLERS[case["name"]]
    first = sampler.levels(schedule, case["steps"])[0]
    in_sigma = sampler.feed in (sigma_levels, midpoint_levels)
    expected = case["init_noise_sigma"] * (first.alpha_bar**0.5 if in_sigma else 1.0)
    assert sampler.initial_scale(schedule, case["steps"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_alpha_bars_are_diffusers(name: str) -> None:
    ours = Schedule(ScheduleConfig(beta_schedule=name)).alpha_bars[::37]
    # atol for the cosine's last levels: diffusers accumulates 1 - beta in float32
    np.testing.assert_allclose(ours, GOLDEN[f"alpha_bars_{name}"], rtol=5e-6, atol=1e-7)
