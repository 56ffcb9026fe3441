"""Group and layer normalisation against float64 NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

import numpy as np
import pytest

from jstyle.ops.kernels import library
from tests.ops.kernel_check import BF16, F32, normal, relative_error, run_backward, run_one

EPS = 1e-5
SHAPES = [  # (batch, positions..., channels), groups
    ((2, 7, 5, 12), 3),
    ((1, 33, 31, 320), 32),
    ((2, 8, 8, 1280), 32),
    ((1, 600, 1), 1),
    ((3, 1, 3), 1),
    ((2, 5, 6), 6),
    ((2, 257, 3), 3),
    ((1, 3, 4, 5, 20), 2),
]

Truth = tuple[np.ndarray, ...]


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    library.set_threads(2)
    yield
    library.set_threads(2)


def inputs_of(shape: tuple[int, ...], dtype: np.dtype, shifted: bool, mean: float = 0.0) -> list[Optional[np.ndarray]]:
    rng = np.random.default_rng(sum(shape))
    shift = normal(rng, shape[0], shape[-1], dtype=dtype) if shifted else None
    weight = normal(rng, shape[-1], dtype=dtype, mean=1.0)
    return [normal(rng, *shape, dtype=dtype, mean=mean), weight, normal(rng, shape[-1], dtype=dtype), shift]


def normed(x: np.ndarray, axes: tuple[int, ...], eps: float = EPS) -> tuple[np.ndarray, np.ndarray]:
    """x with mean 0 and variance 1 over the axes, and what it was divided by."""
    centred = x - x.mean(axis=axes, keepdims=True)
    deviation = np.sqrt((centred * centred).mean(axis=axes, keepdims=True) + eps)
    return centred / deviation, deviation


def double(array: Optional[np.ndarray]) -> np.ndarray:
    return np.zeros(1) if array is None else array.astype(np.float64)


def group_norm_truth(
    inputs: list[Optional[np.ndarray]], groups: int, silu: bool, dy: np.ndarray, eps: float = EPS
) -> tuple[np.ndarray, Truth]:
    """The output and the gradients by x, weight, bias and shift."""
    x, weight, bias, shift = map(double, inputs)
    shape, (batch, channels) = x.shape, (x.shape[0], x.shape[-1])
    shifted = x.reshape(batch, -1, channels) + (shift[:, None, :] if shift.ndim == 2 else 0.0)
    grouped = shifted.reshape(batch, -1, groups, channels // groups)
    n, deviation = normed(grouped, (1, 3), eps)
    flat = n.reshape(batch, -1, channels)
    z = flat * weight + bias
    s = 1 / (1 + np.exp(-z)) if silu else np.ones_like(z)
    dz = dy.astype(np.float64).reshape(z.shape) * (s * (1 + z * (1 - s)) if silu else 1.0)
    dn = (dz * weight).reshape(n.shape)
    axes = (1, 3)
    dx = (dn - dn.mean(axis=axes, keepdims=True) - n * (dn * n).mean(axis=axes, keepdims=True)) / deviation
    dx = dx.reshape(z.shape)
    gradients = dx.reshape(shape), (dz * flat).sum(axis=(0, 1)), dz.sum(axis=(0, 1)), dx.sum(axis=1)
    return (z * s).reshape(shape), gradients


def gradient_error(got: Optional[np.ndarray], want: np.ndarray, dx: np.ndarray) -> float:
    """Relative to dx at least: the gradient by the shift of a channel that is a group is nothing but cancellation."""
    return relative_error(got, want, scale=float(np.abs(dx).max()))


@pytest.mark.parametrize("dtype", [F32, BF16], ids=str)
@pytest.mark.parametrize("silu", [0, 1])
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(("shape", "groups"), SHAPES)
def test_group_norm(shape: tuple[int, ...], groups: int, shifted: bool, silu: int, dtype: np.dtype) -> None:
    inputs = inputs_of(shape, dtype, shifted)
    dy = normal(np.random.default_rng(1), *shape, dtype=dtype)
    truth, gradients = group_norm_truth(inputs, groups, bool(silu), dy)
    numbers: dict[str, float] = {"groups": groups, "eps": EPS, "silu": silu}
    out = run_one("group_norm", inputs, shape, dtype, **numbers)
    assert relative_error(out, truth) < 2e-6
    found = run_backward("group_norm", inputs, out, dy, **numbers)
    assert (found[3] is not None) == shifted
    for got, want in zip(found, gradients):
        assert got is None or gradient_error(got, want, gradients[0]) < 1e-5


def layer_norm_truth(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, Truth]:
    """The output and the gradients by x, weight and bias."""
    x, weight, bias, dy = map(double, (x, weight, bias, dy))
    n, deviation = normed(x, (-1,))
    dn = dy * weight
    dx = (dn - dn.mean(axis=-1, keepdims=True) - n * (dn * n).mean(axis=-1, keepdims=True)) / deviation
    leading = tuple(range(x.ndim - 1))
    return n * weight + bias, (dx, (dy * n).sum(axis=leading), dy.sum(axis=leading))


@pytest.mark.parametrize("dtype", [F32, BF16], ids=str)
@pytest.mark.parametrize("shape", [(2, 77, 320), (5, 1, 12), (1, 3), (700, 3), (1, 9, 1031), (3, 1280), (2, 64)])
def test_layer_norm(shape: tuple[int, ...], dtype: np.dtype) -> None:
    inputs = inputs_of(shape, dtype, shifted=False)[:3]
    dy = normal(np.random.default_rng(1), *shape, dtype=dtype)
    truth, gradients = layer_norm_truth(*inputs, dy)
    out = run_one("layer_norm", inputs, shape, dtype, eps=EPS)
    assert relative_error(out, truth) < 2e-6
    for got, want in zip(run_backward("layer_norm", inputs, out, dy, eps=EPS), gradients):
        assert gradient_error(got, want, gradients[0]) < 1e-5


@pytest.mark.parametrize(("mean", "deviation"), [(1000.0, 1.0), (-50.0, 0.01), (1000.0, 0.01)])
@pytest.mark.parametrize("shape", [(2, 301, 320), (1, 700, 12), (2, 50, 3)])
def test_a_large_mean_costs_no_digits(shape: tuple[int, ...], mean: float, deviation: float) -> None:
    x, weight, bias, _ = inputs_of(shape, F32, shifted=False)
    x = np.float32(x * deviation + mean)
    dy = np.zeros(shape)
    truth, _ = group_norm_truth([x, weight, bias, None], 1, False, dy)
    out = run_one("group_norm", [x, weight, bias, None], shape, groups=1, eps=EPS, silu=0)
    assert relative_error(out, truth) < 4e-6
    shift = np.full((shape[0], shape[-1]), -mean / 3, np.float32)
    truth, _ = group_norm_truth([x, weight, bias, shift], 1, False, dy)
    out = run_one("group_norm", [x, weight, bias, shift], shape, groups=1, eps=EPS, silu=0)
    assert relative_error(out, truth) < 4e-6
    truth, _ = layer_norm_truth(x, weight, bias, dy)
    assert relative_error(run_one("layer_norm", [x, weight, bias], shape, eps=EPS), truth) < 4e-6


@pytest.mark.parametrize("step", [8, 256])
def test_group_norm_of_rows_that_differ_from_their_neighbours(step: int) -> None:
    """Rows that the statistics sample first are far from the others."""
    x = np.random.default_rng(0).standard_normal((1, 512, 64)).astype(np.float32)
    x[:, ::step] += 1e4
    inputs = [x, np.ones(64, np.float32), np.zeros(64, np.float32), None]
    truth, _ = group_norm_truth(inputs, 8, False, x)
    assert relative_error(run_one("group_norm", inputs, x.shape, groups=8, eps=EPS, silu=0), truth) < 2e-6


def test_group_norm_of_a_constant_is_the_bias() -> None:
    inputs = [np.full((1, 90, 40), 7.3, np.float32), *inputs_of((1, 90, 40), F32, shifted=False)[1:]]
    out = run_one("group_norm", inputs, (1, 90, 40), groups=4, eps=EPS, silu=0)
    assert np.abs(out - inputs[2]).max() < 1e-4
    single = run_one("group_norm", [inputs[0][:, :1], *inputs[1:]], (1, 1, 40), groups=40, eps=EPS, silu=0)
    assert np.array_equal(single[0, 0], inputs[2])


def test_norms_of_bfloat16_take_float32_weights() -> None:
    x, weight, bias, shift = inputs_of((2, 60, 12), F32, shifted=True)
    x = x.astype(BF16)
    inputs = [x, weight, bias, shift]
    dy = normal(np.random.default_rng(1), *x.shape, dtype=BF16)
    truth, gradients = group_norm_truth(inputs, 3, True, dy)
    out = run_one("group_norm", inputs, x.shape, BF16, groups=3, eps=EPS, silu=1)
    assert relative_error(out, truth) < 2e-6
    for got, want in zip(run_backward("group_norm", inputs, out, dy, groups=3, eps=EPS, silu=1)[1:], gradients[1:]):
        assert gradient_error(got, want, gradients[0]) < 1e-5
    truth, gradients = layer_norm_truth(x, weight, bias, dy)
    assert relative_error(run_one("layer_norm", inputs[:3], x.shape, BF16, eps=EPS), truth) < 2e-6
    for got, want in zip(run_backward("layer_norm", inputs[:3], out, dy, eps=EPS)[1:], gradients[1:]):
        assert gradient_error(got, want, gradients[0]) < 1e-5


@pytest.mark.parametrize("kernel", ["group_norm", "layer_norm"])
def test_any_number_of_threads_and_any_wanted_gradients_give_the_same_bits(kernel: str) -> None:
    shape = (2, 1111, 36)
    inputs = inputs_of(shape, F32, shifted=True)[: 4 if kernel == "group_norm" else 3]
    dy = normal(np.random.default_rng(1), *shape)
    numbers = {"eps": EPS} if kernel == "layer_norm" else {"eps": EPS, "groups": 6, "silu": 1}
    out = run_one(kernel, inputs, shape, **numbers)
    gradients = run_backward(kernel, inputs, out, dy, **numbers)
    for threads in (1, 2, 4):
        library.set_threads(threads)
        assert np.array_equal(run_one(kernel, inputs, shape, **numbers), out)
        for subset in range(2 ** len(inputs)):
            wanted = [bool(subset >> i & 1) for i in range(len(inputs))]
            for want, full, got in zip(wanted, gradients, run_backward(kernel, inputs, out, dy, wanted, **numbers)):
                assert np.array_equal(full, got) if want else got is None


@pytest.mark.parametrize("kernel", ["group_norm", "layer_norm"])
def test_no_gradient_and_no_elements(kernel: str) -> None:
    numbers = {"eps": EPS} if kernel == "layer_norm" else {"eps": EPS, "groups": 2, "silu": 0}
    inputs = inputs_of((2, 5, 6), F32, shifted=True)[: 4 if kernel == "group_norm" else 3]
    out = run_one(kernel, inputs, (2, 5, 6), **numbers)
    assert not any(np.any(g) for g in run_backward(kernel, inputs, out, None, **numbers))
    empty = [np.zeros((2, 0, 6), np.float32), *inputs[1:]]
    assert run_one(kernel, empty, (2, 0, 6), **numbers).size == 0
    assert not any(np.any(g) for g in run_backward(kernel, empty, empty[0], empty[0], **numbers))
