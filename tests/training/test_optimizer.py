"""AdamW, clipping and accumulation against the paper in float64 and against PyTorch."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from jstyle.errors import InputError
from jstyle.runtime import jt
from jstyle.training.optimizer import AdamW, clip_scale, gradients_of, norms
from jstyle.training.rates import SCHEDULES, rate_at
from tests.parity.networks import cases, relative_error

STEPS = 20


def exact_run(start: np.ndarray, gradients: np.ndarray, rate: float, decay: float, clip: float) -> np.ndarray:
    """arXiv 1711.05101, algorithm 2, on one vector in float64."""
    p, m, v = np.float64(start), 0.0, 0.0
    for t, gradient in enumerate(np.float64(gradients), start=1):
        norm = np.sqrt((gradient**2).sum())
        g = gradient * min(1.0, clip / norm)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        p = p - rate * (m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8) + decay * p)
    return p


def test_twenty_steps_are_those_of_the_paper(path: str) -> None:
    rng = np.random.default_rng(0)
    start = rng.standard_normal(131).astype(np.float32)
    gradients = (rng.standard_normal((STEPS, 131)) * np.exp(rng.uniform(-3, 3, (STEPS, 1)))).astype(np.float32)
    parameters = {"a": jt.array(start[:100].reshape(4, 25)), "b": jt.array(start[100:])}
    optimizer = AdamW(parameters, weight_decay=0.1)
    for number, gradient in enumerate(gradients, start=1):
        parts = [jt.array(gradient[:100].reshape(4, 25)), jt.array(gradient[100:])]
        scale = clip_scale(float(np.linalg.norm(norms(parts))), 3.0)
        optimizer.update(parts, number, 0.02, scale)
    found = np.concatenate([parameters["a"].numpy().ravel(), parameters["b"].numpy()])
    truth = exact_run(start, gradients, 0.02, 0.1, 3.0)
    assert relative_error(found, truth) < 1e-6  # twenty roundings
    assert relative_error(found, exact_run(start, gradients, 0.02, 0.1, 1e9)) > 1e-3


@pytest.mark.parametrize("case", cases("optimizer"), ids=["defaults", "odd"])
def test_steps_are_pytorchs(case: dict[str, Any], path: str) -> None:
    settings = json.loads(str(case["settings"]))
    names = [key.split("_")[1] for key in case if key.startswith("before_")]
    parameters = {name: jt.array(case[f"before_{name}"]) for name in names}
    optimizer = AdamW(parameters, *settings["betas"], settings["eps"], settings["weight_decay"])
    for step in range(6):
        gradients = [jt.array(case[f"gradient{step}_{name}"]) for name in names]
        norm = float(np.linalg.norm(norms(gradients)))
        assert norm == pytest.approx(float(case[f"norm{step}"]), rel=1e-6)
        optimizer.update(gradients, step + 1, settings["lr"], clip_scale(norm, settings["clip"]))
        for name in names:
            after = case[f"after{step}_{name}"]
            assert np.abs(parameters[name].numpy() - after).max() < 4e-7 * np.abs(after).max()  # a step is 1e-3
            for var, kind in zip(optimizer.moments[name], "mv"):
                assert relative_error(var, case[f"{kind}{step}_{name}"]) < 3e-6


def test_gradients_add_up(path: str) -> None:
    w, unused = jt.array(np.float32([1, 2, 3])), jt.array(np.float32([5]))
    first = gradients_of((w * w).sum(), [w, unused])
    both = gradients_of((w * 10).sum(), [w, unused], add_to=first)
    assert np.array_equal(first[0].numpy(), [2, 4, 6])
    assert np.array_equal(both[0].numpy(), [12, 14, 16])
    assert np.array_equal(both[1].numpy(), [0])


def test_clipping() -> None:
    assert clip_scale(0.5, 1.0) == 1.0 and clip_scale(4.0, 1.0) == 0.25 and clip_scale(4.0, None) == 1.0


def test_a_frozen_parameter_becomes_trainable_and_stays_so() -> None:
    w = jt.array(np.float32([1, 2])).stop_grad()
    optimizer = AdamW({"w": w})
    for number in (1, 2):
        (gradient,) = gradients_of((w * w).sum(), [w])
        assert np.allclose(gradient.numpy(), 2 * w.numpy(), rtol=1e-6)
        optimizer.update([gradient], number, 0.1)
        assert not w.is_stop_grad()


def test_only_fp32_is_trained() -> None:
    with pytest.raises(InputError, match="w is float16: train in fp32"):
        AdamW({"w": jt.array(np.float16([1]))})


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rates(schedule: str) -> None:
    rates = np.array([rate_at(step, 2.0, schedule, 110, 10) for step in range(110)])
    assert np.allclose(rates[:10], 2.0 * np.arange(1, 11) / 11)
    progress = np.arange(100) / 100
    truth = {"constant": 1 + 0 * progress, "linear": 1 - progress, "cosine": np.cos(np.pi * progress / 2) ** 2}
    assert np.allclose(rates[10:], 2.0 * truth[schedule])
    assert rates.min() > 0 and rates.argmax() == 10
