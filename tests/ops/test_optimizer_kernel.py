"""The kernels of a training step against float64."""

from __future__ import annotations

import numpy as np
import pytest

from jstyle.ops.kernels import library
from tests.ops.kernel_check import BF16, F32, normal, relative_error, run_one

NUMBERS = dict(lr=3e-3, beta1=0.9, beta2=0.99, eps=1e-6, weight_decay=0.1, correction1=0.3, correction2=0.02, scale=0.7)
SIZES = [0, 1, 15, 16, 17, 1000, 16384, 40_003]


def inputs_of(size: int) -> list[np.ndarray]:
    """param, grad, m, v; gradients over many magnitudes."""
    rng = np.random.default_rng(size)
    spread = np.exp(rng.uniform(-12, 2, size)).astype(np.float32)
    grad, m = normal(rng, size) * spread, normal(rng, size) * spread
    return [normal(rng, size), grad, m, normal(rng, size) ** 2 * spread]


def adamw(inputs: list[np.ndarray]) -> list[np.ndarray]:
    outputs = [np.full(inputs[0].shape, np.nan, np.float32) for _ in range(3)]
    library.run("adamw", inputs, outputs, **NUMBERS)
    return outputs


def exact_adamw(inputs: list[np.ndarray], n: dict[str, float]) -> tuple[np.ndarray, ...]:
    """arXiv 1711.05101, algorithm 2, with the learning rate alone as the schedule multiplier."""
    p, g, m, v = map(np.float64, inputs)
    g = g * n["scale"]
    m = n["beta1"] * m + (1 - n["beta1"]) * g
    v = n["beta2"] * v + (1 - n["beta2"]) * g * g
    unbiased = (m / n["correction1"], v / n["correction2"])
    return p - n["lr"] * (unbiased[0] / (np.sqrt(unbiased[1]) + n["eps"]) + n["weight_decay"] * p), m, v


@pytest.mark.parametrize("size", SIZES)
def test_adamw(size: int) -> None:
    inputs = inputs_of(size)
    p, _, m, v = inputs
    for old, new, truth in zip((p, m, v), adamw(inputs), exact_adamw(inputs, NUMBERS)):
        assert np.all(np.abs(new - truth) <= 3e-7 * (np.abs(old) + np.abs(truth)) + 1e-9)


@pytest.mark.parametrize("dtype", [F32, BF16], ids=str)
def test_norms(dtype: np.dtype) -> None:
    rng = np.random.default_rng(0)
    tensors = [normal(rng, size, dtype=dtype) for size in SIZES] + [normal(rng, 3, 5, 7, dtype=dtype)]
    truth = np.array([np.linalg.norm(np.float64(x)) for x in tensors])
    assert (
        relative_error(run_one("norms", tensors, (len(tensors),)), truth) < 1e-6
    )  # narrower registers make longer sums
    tensors[4][3] = np.nan
    tensors[6][-1] = np.inf
    found = run_one("norms", tensors, (len(tensors),))
    assert np.isnan(found[4]) and np.isinf(found[6]) and np.isfinite(np.delete(found, [4, 6])).all()


@pytest.mark.parametrize("size", SIZES)
def test_blend(size: int) -> None:
    average, value = normal(np.random.default_rng(1), size), normal(np.random.default_rng(2), size)
    out = run_one("blend", [average, value], (size,), share=0.02)
    if size:
        assert relative_error(out, np.float64(average) + 0.02 * (np.float64(value) - average)) < 2e-7


def test_any_number_of_threads_gives_the_same_bits() -> None:
    inputs = inputs_of(50_001)
    outs = []
    for threads in (1, 2, 3):
        library.set_threads(threads)
        outs.append([*adamw(inputs), run_one("norms", inputs, (4,))])
    library.set_threads(2)
    assert all(np.array_equal(a, b) for out in outs for a, b in zip(out, outs[0]))
