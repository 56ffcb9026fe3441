"""The schedulers under diffusers' names, step by step, against recordings of diffusers 0.42.1 (test_samplers.py)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import jstyle
from jstyle.runtime import jt
from tests.parity.test_samplers import CASES, GOLDEN, TOLERANCE, ZERO_SNR_CASES, label


def is_told_apart(case: dict[str, Any]) -> bool:
    """Whether a case shows what the samplers' own tests do not: spacings and types are theirs."""
    config = case["config"]
    if config["prediction_type"] == "sample" or case["steps"] not in (10, 11, 12):
        return False
    # diffusers' own PNDM goes wrong from the middle, so its recording is of `pndm`, which has a call more
    return config.get("timestep_spacing", "linspace") != "trailing" and not (case["name"] == "pndm" and case["start"])


DRIVEN = [case for case in [*CASES, *ZERO_SNR_CASES[::3]] if is_told_apart(case)]


def make(case: dict[str, Any]) -> Any:
    scheduler = getattr(jstyle, case["config"]["_class_name"]).from_config(case["config"])
    scheduler.set_timesteps(case["steps"])
    return scheduler


@pytest.mark.parametrize("case", DRIVEN, ids=label)
def test_every_step_is_diffusers(case: dict[str, Any]) -> None:
    scheduler = make(case)
    times = scheduler.timesteps.numpy()[case["start"] * scheduler.order :]
    np.testing.assert_allclose(times, case["times"], rtol=1e-6, atol=2e-3)
    x = jt.array(GOLDEN["initial"]) * (1.0 if case["start"] else scheduler.init_noise_sigma)
    if case["start"]:  # at the level of the first time, from whatever scale a scheduler has
        x = x / (scheduler.scale_model_input(jt.ones(1), times[0]))
    is_rough = case["config"].get("rescale_betas_zero_snr") and (case["eta"] or case["name"] == "euler")
    for call, t in enumerate(times):
        seen = scheduler.scale_model_input(x, t)
        output = jt.tanh(0.7 * seen + math.sin(float(t) / 150) * jt.array(GOLDEN["drift"]))
        eta = {"eta": case["eta"]} if case["eta"] else {}
        noise = GOLDEN["noises"][(case["start"] + call) % 20]
        x = scheduler.step(output, t, x, variance_noise=noise, **eta).prev_sample
        last = call == len(times) - 1
        found = (x if last else scheduler.scale_model_input(x, times[call + 1])).numpy()
        reference = case["samples"][call]
        error = np.linalg.norm(found - reference) / np.linalg.norm(reference)
        assert error < (4e-4 if is_rough else TOLERANCE), f"call {call} at t {t:g}: relative error {error:.1e}"


@pytest.mark.parametrize("case", [case for case in DRIVEN if not case["start"]], ids=label)
def test_initial_scale_is_diffusers(case: dict[str, Any]) -> None:
    assert make(case).init_noise_sigma == pytest.approx(case["init_noise_sigma"], rel=1e-5)
