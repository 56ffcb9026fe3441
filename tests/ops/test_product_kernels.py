"""Linear maps and convolutions against float64 NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

import numpy as np
import pytest

from jstyle.ops.kernels import library
from tests.ops.kernel_check import BF16, F32, normal, relative_error, run_backward, run_one

RNG = np.random.default_rng(5)
FORWARD = {F32: 1e-6, BF16: 1e-5}  # of exact sums of the rounded inputs, beyond the output's own rounding
WINOGRAD = {F32: 4e-6, BF16: 4e-6}
LINEAR_SHAPES = [(1, 1, 1), (33, 7, 5), (14, 33, 40), (100, 64, 96), (700, 320, 33), (5, 2311, 64)]


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    library.set_threads(2)
    yield
    library.set_threads(2)


def erf(x: np.ndarray) -> np.ndarray:
    from math import erf as one

    return np.vectorize(one)(x)


@pytest.mark.parametrize("dtype", [F32, BF16], ids=["fp32", "bf16"])
@pytest.mark.parametrize(("rows", "depth", "columns"), LINEAR_SHAPES)
def test_linear(rows: int, depth: int, columns: int, dtype: np.dtype) -> None:
    x, weight = normal(RNG, rows, depth, dtype=dtype), normal(RNG, columns, depth, dtype=dtype)
    bias, residual = normal(RNG, columns, dtype=dtype), normal(RNG, rows, columns, dtype=dtype)
    exact = x.astype(np.float64) @ weight.astype(np.float64).T
    out = run_one("linear", [x, weight, None, None], (rows, columns), dtype)
    assert relative_error(out, exact) < FORWARD[dtype]
    out = run_one("linear", [x, weight, bias, residual], (rows, columns), dtype)
    assert relative_error(out, exact + bias.astype(np.float64) + residual.astype(np.float64)) < FORWARD[dtype]


@pytest.mark.parametrize("dtype", [F32, BF16], ids=["fp32", "bf16"])
@pytest.mark.parametrize(("rows", "depth", "columns"), [(3, 5, 7), (31, 64, 40)])
def test_linear_geglu(rows: int, depth: int, columns: int, dtype: np.dtype) -> None:
    x, weight = normal(RNG, rows, depth, dtype=dtype), normal(RNG, 2 * columns, depth, dtype=dtype)
    bias = normal(RNG, 2 * columns, dtype=dtype)
    wide = x.astype(np.float64) @ weight.astype(np.float64).T + bias.astype(np.float64)
    value, gate = wide[:, :columns], wide[:, columns:]
    out = run_one("linear_geglu", [x, weight, bias], (rows, columns), dtype)
    assert relative_error(out, value * gate * 0.5 * (1 + erf(gate / np.sqrt(2)))) < 2 * FORWARD[dtype]


@pytest.mark.parametrize(("rows", "depth", "columns"), [(33, 7, 5), (14, 33, 40), (4100, 20, 33)])
def test_linear_gradients(rows: int, depth: int, columns: int) -> None:
    x, weight, bias = normal(RNG, rows, depth), normal(RNG, columns, depth), normal(RNG, columns)
    residual, dy = normal(RNG, rows, columns), normal(RNG, rows, columns)
    truth = [np.float64(dy) @ weight, np.float64(dy).T @ x, np.float64(dy).sum(0), np.float64(dy)]
    gradients = run_backward("linear", [x, weight, bias, residual], residual, dy)
    for gradient, exact in zip(gradients, truth):
        assert relative_error(gradient, exact) < 2e-6


def convolution(x: np.ndarray, weight: np.ndarray, stride: int, padding: int, size: tuple[int, int]) -> np.ndarray:
    """The definition, in float64; zeros as far as ``size`` needs them."""
    batch, height, width, channels = x.shape
    kernel = weight.shape[2]
    padded = np.zeros((batch, height + 2 * padding + kernel, width + 2 * padding + kernel, channels))
    padded[:, padding : padding + height, padding : padding + width] = x
    out = np.zeros((batch, *size, weight.shape[0]))
    for i in range(kernel):
        for j in range(kernel):
            seen = padded[:, i : i + size[0] * stride : stride, j : j + size[1] * stride : stride]
            out += seen[:, : size[0], : size[1]] @ weight[:, :, i, j].astype(np.float64).T
    return out


# (batch, height, width, in, out, kernel, stride, padding, output size)
CONVOLUTIONS = [
    (2, 8, 8, 32, 40, 3, 1, 1, (8, 8)),
    (1, 9, 7, 20, 33, 3, 1, 1, (9, 7)),
    (1, 13, 5, 240, 3, 3, 1, 1, (13, 5)),
    (3, 1, 1, 300, 16, 3, 1, 1, (1, 1)),
    (1, 6, 6, 17, 16, 3, 1, 0, (4, 4)),
    (1, 9, 7, 4, 33, 3, 1, 1, (9, 7)),  # too few channels for Winograd's transform to pay
    (2, 8, 6, 20, 33, 3, 2, 1, (4, 3)),
    (1, 9, 7, 18, 17, 3, 2, 0, (4, 3)),
    (2, 8, 8, 18, 17, 3, 2, 0, (4, 4)),  # padded at the bottom and right only
    (1, 5, 6, 3, 4, 2, 1, 0, (4, 5)),
]


@pytest.mark.parametrize("dtype", [F32, BF16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_conv2d(case: tuple, dtype: np.dtype) -> None:
    batch, height, width, inputs, outputs, kernel, stride, padding, size = case
    x = normal(RNG, batch, height, width, inputs, dtype=dtype)
    weight, bias = normal(RNG, outputs, inputs, kernel, kernel, dtype=dtype), normal(RNG, outputs, dtype=dtype)
    residual = normal(RNG, batch, *size, outputs, dtype=dtype)
    exact = convolution(x.astype(np.float64), weight, stride, padding, size)
    numbers = {"stride": stride, "padding": padding}
    out = run_one("conv2d", [x, weight, None, None], residual.shape, dtype, **numbers)
    assert relative_error(out, exact) < WINOGRAD[dtype]
    out = run_one("conv2d", [x, weight, bias, residual], residual.shape, dtype, **numbers)
    assert relative_error(out, exact + bias.astype(np.float64) + residual.astype(np.float64)) < WINOGRAD[dtype]


def test_convolution_of_several_groups_of_tiles() -> None:
    x, weight = normal(RNG, 1, 70, 66, 70), normal(RNG, 34, 70, 3, 3)
    out = run_one("conv2d", [x, weight, None, None], (1, 70, 66, 34), stride=1, padding=1)
    assert relative_error(out, convolution(x, weight, 1, 1, (70, 66))) < WINOGRAD[F32]


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_conv2d_gradients(case: tuple) -> None:
    """A convolution is linear in x and in the weight: each gradient is the adjoint, tested on every coordinate
    that a random direction mixes, and by itself on one."""
    batch, height, width, inputs, outputs, kernel, stride, padding, size = case
    x, weight = normal(RNG, batch, height, width, inputs), normal(RNG, outputs, inputs, kernel, kernel)
    bias, dy = normal(RNG, outputs), normal(RNG, batch, *size, outputs)
    dx, dw, db, dr = run_backward("conv2d", [x, weight, bias, dy], dy, dy, stride=stride, padding=padding)
    assert relative_error(db, np.float64(dy).sum((0, 1, 2))) < 2e-6
    assert np.array_equal(dr, dy) if dr is not None else False
    assert dx is not None and dw is not None
    for gradient, of in ((dx, "x"), (dw, "weight")):
        for direction in directions(gradient.shape):
            along = (direction, weight) if of == "x" else (x, direction)
            exact = (convolution(*along, stride, padding, size) * dy).sum()
            scale = np.linalg.norm(gradient) * np.linalg.norm(direction)
            assert abs((np.float64(gradient) * direction).sum() - exact) < 4e-6 * scale


def directions(shape: tuple[int, ...]) -> list[np.ndarray]:
    """Random directions, and single coordinates at both ends."""
    single = [np.zeros(shape, np.float32), np.zeros(shape, np.float32)]
    single[0].flat[0] = single[1].flat[-1] = 1.0
    return [normal(RNG, *shape) for _ in range(3)] + single


def test_gradients_in_bf16_are_refused() -> None:
    x, weight, dy = (normal(RNG, 4, 4, dtype=BF16) for _ in range(3))
    with pytest.raises(ValueError, match="linear_backward: gradients are computed in float32 only, x is bfloat16"):
        run_backward("linear", [x, weight, None, None], dy, dy)


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)])
def test_each_gradient_alone_is_the_same(wanted: tuple[bool, ...]) -> None:
    x, weight, bias, dy = normal(RNG, 1, 6, 6, 20), normal(RNG, 17, 20, 3, 3), normal(RNG, 17), normal(RNG, 1, 6, 6, 17)
    inputs: list[Optional[np.ndarray]] = [x, weight, bias, None]
    together = run_backward("conv2d", inputs, dy, dy, stride=1, padding=1)
    alone = run_backward("conv2d", inputs, dy, dy, [*wanted, False], stride=1, padding=1)
    for want, a, b in zip(wanted, alone, together):
        assert np.array_equal(a, b) if want and a is not None and b is not None else a is None


def test_the_number_of_threads_changes_no_bit() -> None:
    x, weight, bias = normal(RNG, 2, 40, 40, 48), normal(RNG, 70, 48, 3, 3), normal(RNG, 70)
    rows, flat, dy = normal(RNG, 1300, 70), normal(RNG, 50, 70), normal(RNG, 1300, 50)
    results = []
    for threads in (1, 2, 4):
        library.set_threads(threads)
        convolved = run_one("conv2d", [x, weight, bias, None], (2, 40, 40, 70), stride=1, padding=1)
        multiplied = run_one("linear", [rows, flat, None, None], (1300, 50))
        gradients = run_backward("linear", [rows, flat, None, None], multiplied, dy)
        results.append([convolved, multiplied, *(g for g in gradients if g is not None)])
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other))


def test_poisoned_memory_around_the_inputs_is_never_read_into_the_result() -> None:
    """Inputs lie at the end of a page of NaN: whatever is read past them would show."""
    for channels in (4, 20, 33):
        poisoned = [np.full(size + 64, np.nan, np.float32) for size in (5 * 5 * channels, 33 * channels * 9)]
        x = poisoned[0][:-64].reshape(1, 5, 5, channels)
        weight = poisoned[1][:-64].reshape(33, channels, 3, 3)
        x[:], weight[:] = normal(RNG, *x.shape), normal(RNG, *weight.shape)
        out = run_one("conv2d", [x, weight, None, None], (1, 5, 5, 33), stride=1, padding=1)
        assert relative_error(out, convolution(x, weight, 1, 1, (5, 5))) < WINOGRAD[F32]
