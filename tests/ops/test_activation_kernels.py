"""Pointwise kernels against float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from jstyle.ops.kernels import library
from tests.ops.kernel_check import BF16, F32, normal, relative_error, run_backward, run_one

SHAPES = [(5,), (2, 3, 7), (1, 16), (33, 1031), (0, 4)]

erf = np.vectorize(math.erf, otypes=[np.float64])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def normal_cdf(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + erf(x * math.sqrt(0.5)))


def gelu(x: np.ndarray) -> np.ndarray:
    return x * normal_cdf(x)


def gelu_derivative(x: np.ndarray) -> np.ndarray:
    return normal_cdf(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def swish(slope: float) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]:
    """x * sigmoid(slope x) and its derivative."""

    def derivative(x: np.ndarray) -> np.ndarray:
        s = sigmoid(slope * x)
        return s + slope * x * s * (1 - s)

    return lambda x: x * sigmoid(slope * x), derivative


FUNCTIONS = {"silu": swish(1.0), "gelu": (gelu, gelu_derivative), "quick_gelu": swish(1.702)}


def wide(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Numbers from a few hundredths to tens, of both signs."""
    rng = np.random.default_rng(len(shape))
    return (rng.standard_normal(shape) * np.exp(rng.uniform(-3, 2, shape))).astype(np.float32).astype(dtype)


@pytest.mark.parametrize("dtype", [F32, BF16], ids=str)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_pointwise(name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    function, derivative = FUNCTIONS[name]
    x, dy = wide(shape, dtype), normal(np.random.default_rng(1), *shape, dtype=dtype)
    out = run_one(name, [x], shape, dtype)
    (dx,) = run_backward(name, [x], out, dy)
    if x.size:
        assert relative_error(out, function(np.float64(x))) < 3e-7
        assert relative_error(dx, dy * derivative(np.float64(x))) < 4e-7
    assert not np.any(run_backward(name, [x], out, None)[0])
    assert run_backward(name, [x], out, dy, [False]) == (None,)


def test_gelu_keeps_its_digits_everywhere() -> None:
    """Absolutely to 1.5e-7 plus half a unit in the last place, and relatively where it is small."""
    x = np.linspace(-14, 14, 200_003).astype(np.float32)
    truth = gelu(np.float64(x))
    out = run_one("gelu", [x], x.shape)
    assert (np.abs(out - truth) < 1.5e-7 + np.abs(truth) * 6e-8).all()
    assert (np.diff(out[x < -6]) <= 0).all() and (out[x < -13.5] == 0).all()  # falls to 0 and no further
    tiny = np.array([1e-20, -1e-20, 3e-6, -3e-6, -4.0, -5.0], np.float32)
    exact = np.array([0.5 * math.erfc(-float(v) * math.sqrt(0.5)) * float(v) for v in tiny])
    assert np.abs(run_one("gelu", [tiny], tiny.shape) / exact - 1).max() < 3e-3


@pytest.mark.parametrize("name", FUNCTIONS)
def test_extremes(name: str) -> None:
    x = np.array([1e30, -1e30, 200.0, -200.0, 0.0, np.nan], np.float32)
    out = run_one(name, [x], x.shape)
    assert np.allclose(out[:5], [1e30, 0, 200, 0, 0], rtol=1e-6, atol=1e-6) and np.isnan(out[5])
    (dx,) = run_backward(name, [x], out, np.ones_like(x))
    assert np.allclose(dx[:5], [1, 0, 1, 0, 0.5], atol=1e-6)


@pytest.mark.parametrize("dtype", [F32, BF16], ids=str)
@pytest.mark.parametrize("shape", [(2, 3, 14), (5, 2), (1, 64), (70, 1030), (3, 0)])
def test_geglu(shape: tuple[int, ...], dtype: np.dtype) -> None:
    half = shape[-1] // 2
    x, dy = wide(shape, dtype), normal(np.random.default_rng(1), *shape[:-1], half, dtype=dtype)
    value, gate = np.float64(x[..., :half]), np.float64(x[..., half:])
    out = run_one("geglu", [x], (*shape[:-1], half), dtype)
    (dx,) = run_backward("geglu", [x], out, dy)
    if x.size:
        assert relative_error(out, value * gelu(gate)) < 3e-7
        truth = np.concatenate([dy * gelu(gate), dy * value * gelu_derivative(gate)], axis=-1)
        assert relative_error(dx, truth) < 4e-7
    assert not np.any(run_backward("geglu", [x], out, None)[0])


@pytest.mark.parametrize("dtype", [F32, BF16], ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_add(shape: tuple[int, ...], dtype: np.dtype) -> None:
    rng = np.random.default_rng(2)
    a, b, dy = (normal(rng, *shape, dtype=dtype) for _ in range(3))
    out = run_one("add", [a, b], shape, dtype)
    assert np.array_equal(out, (np.float32(a) + np.float32(b)).astype(dtype))
    for wanted in ([True, True], [False, True], [True, False], [False, False]):
        for want, gradient in zip(wanted, run_backward("add", [a, b], out, dy, wanted)):
            assert np.array_equal(gradient, dy) if want else gradient is None
    assert not any(np.any(gradient) for gradient in run_backward("add", [a, b], out, None))


def test_any_number_of_threads_gives_the_same_bits() -> None:
    x = wide((3, 40_002), F32)
    outs = []
    for threads in (1, 2, 4):
        library.set_threads(threads)
        outs.append((run_one("gelu", [x], x.shape), run_one("geglu", [x], (3, 20_001))))
    library.set_threads(2)
    assert all(np.array_equal(a, b) for out in outs for a, b in zip(out, outs[0]))
