"""The arithmetic against float64 NumPy."""

from __future__ import annotations

from importlib import import_module
from typing import Optional, Tuple

import numpy as np
import pytest

from jstyle import ops
from jstyle.runtime import jt
from tests.parity.networks import relative_error

RNG = np.random.default_rng(11)
TOLERANCE = 2e-6


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def softmax_attention(q: np.ndarray, sets: list, bias: Optional[np.ndarray] = None, shift: float = 0.0) -> np.ndarray:
    """Attention of (batch, tokens, heads, head_dim) to the concatenation of (k, v) sets, the last one shifted."""
    logits = [np.einsum("bqhd,bkhd->bhqk", np.float64(q), k) / np.sqrt(q.shape[-1]) for k, _ in sets]
    if bias is not None:
        logits[0] = logits[0] + bias
    if len(sets) > 1:
        logits[1] = logits[1] + shift
    weights = np.exp(np.concatenate(logits, axis=-1))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.einsum("bhqk,bkhd->bqhd", weights, np.concatenate([v for _, v in sets], axis=1))


@pytest.mark.parametrize("most", [1 << 26, 100])  # 100 logits at a time: many slices
@pytest.mark.parametrize("shape", [(2, 9, 3, 8), (1, 1, 1, 4), (1, 17, 2, 5)])
def test_attention(shape: Tuple[int, ...], most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("jstyle.ops.attention"), "MAX_LOGITS", most)
    batch, tokens, heads, dim = shape
    q, k, v = normal(*shape), normal(batch, 7, heads, dim), normal(batch, 7, heads, dim)
    k2, v2 = normal(batch, 3, heads, dim), normal(batch, 3, heads, dim)
    bias = normal(1, heads, tokens, 7)
    plain = ops.attention(*map(jt.array, (q, k, v)))
    assert relative_error(plain, softmax_attention(q, [(k, v)])) < TOLERANCE
    shared = ops.KeyValue(jt.array(k2), jt.array(v2), shift=0.7)
    out = ops.attention(*map(jt.array, (q, k, v)), bias=jt.array(bias), shared=shared)
    assert relative_error(out, softmax_attention(q, [(k, v), (k2, v2)], bias, 0.7)) < TOLERANCE


@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_norms_keep_their_digits_under_a_large_mean(mean: float) -> None:
    x, weight, bias = normal(2, 5, 3, 12) + np.float32(mean), normal(12), normal(12)
    grouped = np.float64(x).reshape(2, 15, 4, 3)
    normed = (grouped - grouped.mean((1, 3), keepdims=True)) / np.sqrt(grouped.var((1, 3), keepdims=True) + 1e-5)
    out = ops.group_norm(jt.array(x), 4, jt.array(weight), jt.array(bias), 1e-5)
    assert relative_error(out, normed.reshape(x.shape) * weight + bias) < (TOLERANCE if mean == 0 else 5e-4)
    exact = np.float64(x)
    normed = (exact - exact.mean(-1, keepdims=True)) / np.sqrt(exact.var(-1, keepdims=True) + 1e-5)
    out = ops.layer_norm(jt.array(x), jt.array(weight), jt.array(bias), 1e-5)
    assert relative_error(out, normed * weight + bias) < (TOLERANCE if mean == 0 else 5e-4)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (3, 2, 0), (1, 1, 0)])
def test_conv2d(kernel: int, stride: int, padding: int) -> None:
    x, weight, bias = normal(2, 9, 6, 4), normal(5, 4, kernel, kernel), normal(5)
    padded = np.pad(np.float64(x), ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(1, 2))[:, ::stride, ::stride]
    reference = np.einsum("bhwcij,ocij->bhwo", windows, weight) + bias
    out = ops.conv2d(jt.array(x), jt.array(weight), jt.array(bias), stride, padding)
    assert relative_error(out, reference) < TOLERANCE


def test_linear_takes_a_1x1_convolution_too() -> None:
    x, weight, bias = normal(2, 3, 4), normal(6, 4), normal(6)
    for stored in (weight, weight[:, :, None, None]):
        out = ops.linear(jt.array(x), jt.array(stored), jt.array(bias))
        assert relative_error(out, np.float64(x) @ weight.T + bias) < TOLERANCE


@pytest.mark.parametrize(("height", "width"), [(6, 8), (5, 8), (6, 7), (5, 7)])
def test_upsampling_is_nearest_interpolation_to_the_size(height: int, width: int) -> None:
    x = normal(2, 3, 4, 5)
    rows, columns = (np.arange(height) * 3 // height, np.arange(width) * 4 // width)
    out = ops.upsample_nearest(jt.array(x), height, width).numpy()
    assert np.array_equal(out, x[:, rows][:, :, columns])


def test_padding_is_at_the_bottom_and_right() -> None:
    x = normal(1, 3, 2, 4)
    assert np.array_equal(ops.pad_bottom_right(jt.array(x)).numpy(), np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0))))
