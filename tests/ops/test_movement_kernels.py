"""Kernels that only copy, bit for bit against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from jstyle.ops.kernels import library
from tests.ops.kernel_check import BF16, F32, normal, relative_error, run_backward, run_one

DTYPES = [F32, BF16]


def draw(*shape: int, dtype: np.dtype = F32, seed: int = 0) -> np.ndarray:
    return normal(np.random.default_rng(seed), *shape, dtype=dtype)


@pytest.mark.parametrize("source", DTYPES, ids=str)
@pytest.mark.parametrize("target", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(7,), (3, 5, 1001), (40_000,), (0,)])
def test_cast(shape: tuple[int, ...], source: np.dtype, target: np.dtype) -> None:
    x, dy = draw(*shape, dtype=source), draw(*shape, dtype=target, seed=1)
    out = run_one("cast", [x], shape, target)
    assert np.array_equal(out, x.astype(target))
    assert np.array_equal(run_backward("cast", [x], out, dy)[0], dy.astype(source))
    assert not np.any(run_backward("cast", [x], out, None)[0])


def test_cast_rounds_ties_to_even_and_keeps_what_is_not_finite() -> None:
    bits = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x3F80FFFF, 0x7F7FFFFF, 0x80000000, 0x00000001], np.uint32)
    x = np.concatenate([bits.view(np.float32), np.array([np.inf, -np.inf, np.nan], np.float32)])
    for repeats in (1, 16):  # part of a vector, whole vectors
        tiled = np.tile(x, repeats)
        out = run_one("cast", [tiled], tiled.shape, BF16)
        assert np.array_equal(out.astype(np.float32), tiled.astype(BF16).astype(np.float32), equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("leading", "c1", "c2"), [((2, 5, 3), 12, 7), ((1,), 1, 1), ((3, 300), 320, 64), ((2,), 3, 0)])
def test_concat_channels(leading: tuple[int, ...], c1: int, c2: int, dtype: np.dtype) -> None:
    a, b = draw(*leading, c1, dtype=dtype), draw(*leading, c2, dtype=dtype, seed=1)
    dy = draw(*leading, c1 + c2, dtype=dtype, seed=2)
    out = run_one("concat_channels", [a, b], dy.shape, dtype)
    assert np.array_equal(out, np.concatenate([a, b], axis=-1))
    for wanted in ([True, True], [False, True], [True, False], [False, False]):
        found = run_backward("concat_channels", [a, b], out, dy, wanted)
        for want, gradient, truth in zip(wanted, found, (dy[..., :c1], dy[..., c1:])):
            assert np.array_equal(gradient, truth) if want else gradient is None
    assert not any(np.any(gradient) for gradient in run_backward("concat_channels", [a, b], out, None))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 1, 1, 1), (1, 9, 4, 320), (2, 4, 4, 3)])
@pytest.mark.parametrize("cropped", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_upsample_nearest(shape: tuple[int, ...], cropped: tuple[int, int], dtype: np.dtype) -> None:
    batch, h, w, c = shape
    size = (batch, 2 * h - cropped[0], 2 * w - cropped[1], c)
    x, dy = draw(*shape, dtype=dtype), draw(*size, dtype=dtype, seed=1)
    out = run_one("upsample_nearest", [x], size, dtype)
    assert np.array_equal(out, x.repeat(2, axis=1).repeat(2, axis=2)[:, : size[1], : size[2]])
    whole = np.zeros((batch, 2 * h, 2 * w, c))
    whole[:, : size[1], : size[2]] = dy
    truth = whole.reshape(batch, h, 2, w, 2, c).sum(axis=(2, 4))
    assert relative_error(run_backward("upsample_nearest", [x], out, dy)[0], truth) < 2e-7
    assert not np.any(run_backward("upsample_nearest", [x], out, None)[0])


@pytest.mark.parametrize("target", DTYPES, ids=str)
@pytest.mark.parametrize("source", DTYPES, ids=str)
@pytest.mark.parametrize(
    "shape", [(2, 3, 5, 7), (1, 4, 64, 64), (2, 320, 9, 15), (1, 1, 1, 1), (1, 80, 3, 33), (2, 0, 3, 3)]
)
def test_channels_last_and_first(shape: tuple[int, ...], source: np.dtype, target: np.dtype) -> None:
    x = draw(*shape, dtype=source)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    for kernel, a, b in (("channels_last", x, last), ("channels_first", last, x)):
        out = run_one(kernel, [a], b.shape, target)
        assert np.array_equal(out, b.astype(target))
        (gradient,) = run_backward(kernel, [a], out, b.astype(target))
        assert np.array_equal(gradient, a.astype(target).astype(source))
        assert not np.any(run_backward(kernel, [a], out, None)[0])
        assert run_backward(kernel, [a], out, out, [False]) == (None,)


def test_any_number_of_threads_gives_the_same_bits() -> None:
    x = draw(2, 33, 35, 40)
    outs: list[tuple[np.ndarray, ...]] = []
    for threads in (1, 2, 4):
        library.set_threads(threads)
        up = run_one("upsample_nearest", [x], (2, 66, 70, 40))
        (down,) = run_backward("upsample_nearest", [x], up, up)
        assert down is not None
        outs.append((up, down, run_one("channels_first", [x], (2, 40, 33, 35)), run_one("cast", [x], x.shape, BF16)))
    library.set_threads(2)
    assert all(np.array_equal(a, b) for out in outs for a, b in zip(out, outs[0]))
