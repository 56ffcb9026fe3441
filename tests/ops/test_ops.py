"""The arithmetic of the networks on both of its paths, against float64 NumPy, and its gradients against each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Optional

import numpy as np
import pytest

from jstyle import ops
from jstyle.ops import reference
from jstyle.ops.kernels import operator
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
def test_attention(shape: tuple[int, ...], most: int, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "MAX_LOGITS", most)
    batch, tokens, heads, dim = shape
    q, k, v = normal(*shape), normal(batch, 7, heads, dim), normal(batch, 7, heads, dim)
    k2, v2 = normal(batch, 3, heads, dim), normal(batch, 3, heads, dim)
    bias = normal(1, heads, tokens, 7)
    plain = ops.attention(*map(jt.array, (q, k, v)))
    assert relative_error(plain, softmax_attention(q, [(k, v)])) < TOLERANCE
    shared = ops.KeyValue(jt.array(k2), jt.array(v2), shift=0.7)
    out = ops.attention(*map(jt.array, (q, k, v)), bias=jt.array(bias), shared=shared)
    assert relative_error(out, softmax_attention(q, [(k, v), (k2, v2)], bias, 0.7)) < TOLERANCE
    sharp = ops.attention(*map(jt.array, (q, k, v)), temperature=1.5)
    assert relative_error(sharp, softmax_attention(1.5 * q, [(k, v)])) < TOLERANCE


def test_one_set_of_keys_serves_all_rows(path: str) -> None:
    q, k, v = normal(3, 9, 2, 8), normal(1, 7, 2, 8), normal(1, 7, 2, 8)
    several = [np.repeat(x, 3, axis=0) for x in (k, v)]
    out = ops.attention(*map(jt.array, (q, k, v)))
    assert relative_error(out, softmax_attention(q, [tuple(several)])) < TOLERANCE


@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_norms_keep_their_digits_under_a_large_mean(mean: float, path: str) -> None:
    x, weight, bias = normal(2, 5, 3, 12) + np.float32(mean), normal(12), normal(12)
    shift = normal(2, 12)
    grouped = (np.float64(x) + shift[:, None, None]).reshape(2, 15, 4, 3)
    normed = (grouped - grouped.mean((1, 3), keepdims=True)) / np.sqrt(grouped.var((1, 3), keepdims=True) + 1e-5)
    normed = normed.reshape(x.shape) * weight + bias
    tolerance = TOLERANCE if mean == 0 else 5e-4
    out = ops.group_norm(jt.array(x), 4, jt.array(weight), jt.array(bias), 1e-5, shift=jt.array(shift))
    assert relative_error(out, normed) < tolerance
    out = ops.group_norm(jt.array(x), 4, jt.array(weight), jt.array(bias), 1e-5, shift=jt.array(shift), silu=True)
    assert relative_error(out, normed / (1 + np.exp(-normed))) < tolerance
    exact = np.float64(x)
    normed = (exact - exact.mean(-1, keepdims=True)) / np.sqrt(exact.var(-1, keepdims=True) + 1e-5)
    out = ops.layer_norm(jt.array(x), jt.array(weight), jt.array(bias), 1e-5)
    assert relative_error(out, normed * weight + bias) < tolerance


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 1, (1, 1)), (3, 2, (1, 1)), (3, 2, (0, 0)), (3, 2, (0, 1)), (1, 1, (0, 0))]
)
def test_conv2d(kernel: int, stride: int, padding: tuple[int, int], path: str) -> None:
    x, weight, bias = normal(2, 9, 6, 4), normal(5, 4, kernel, kernel), normal(5)
    padded = np.pad(np.float64(x), ((0, 0), padding, padding, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(1, 2))[:, ::stride, ::stride]
    exact = np.einsum("bhwcij,ocij->bhwo", windows, weight) + bias
    out = ops.conv2d(jt.array(x), jt.array(weight), jt.array(bias), stride, padding)
    assert relative_error(out, exact) < TOLERANCE
    residual = normal(*exact.shape)
    out = ops.conv2d(jt.array(x), jt.array(weight), jt.array(bias), stride, padding, residual=jt.array(residual))
    assert relative_error(out, exact + residual) < TOLERANCE


def test_linear_takes_a_1x1_convolution_too(path: str) -> None:
    x, weight, bias = normal(2, 3, 4), normal(6, 4), normal(6)
    for stored in (weight, weight[:, :, None, None]):
        out = ops.linear(jt.array(x), jt.array(stored), jt.array(bias))
        assert relative_error(out, np.float64(x) @ weight.T + bias) < TOLERANCE


@pytest.mark.parametrize(("height", "width"), [(6, 8), (5, 8), (6, 7), (5, 7)])
def test_upsampling_is_nearest_interpolation_to_the_size(height: int, width: int, path: str) -> None:
    x = normal(2, 3, 4, 5)
    rows, columns = (np.arange(height) * 3 // height, np.arange(width) * 4 // width)
    out = ops.upsample_nearest(jt.array(x), height, width).numpy()
    assert np.array_equal(out, x[:, rows][:, :, columns])


def test_layouts_joins_and_sums(path: str) -> None:
    x, y = normal(2, 3, 4, 5), normal(2, 3, 4, 2)
    assert np.array_equal(ops.channels_last(jt.array(x)).numpy(), x.transpose(0, 2, 3, 1))
    assert np.array_equal(ops.channels_first(jt.array(x)).numpy(), x.transpose(0, 3, 1, 2))
    assert np.array_equal(ops.concat_channels(jt.array(x), jt.array(y)).numpy(), np.concatenate([x, y], axis=3))
    assert np.array_equal(ops.add(jt.array(x), jt.array(2 * x)).numpy(), x + 2 * x)


def test_casting_to_bf16_rounds_to_nearest() -> None:
    x = normal(1000)
    if operator.unavailable() is not None:
        pytest.skip("plain Jittor truncates")
    back = ops.cast(ops.cast(jt.array(x), "bfloat16"), "float32").numpy()
    assert np.abs(back - x).max() <= np.abs(x).max() * 2.0**-8
    assert np.abs(np.mean((back - x) / np.abs(x))) < 3e-4  # truncation is off by 2e-3 on average


GRADIENTS: list[tuple[str, Callable[..., jt.Var], list[tuple[int, ...]]]] = [
    ("silu", ops.silu, [(3, 5)]),
    ("gelu", ops.gelu, [(3, 5)]),
    ("quick_gelu", ops.quick_gelu, [(3, 5)]),
    ("geglu", ops.geglu, [(3, 10)]),
    ("linear_geglu", ops.linear_geglu, [(3, 5), (8, 5), (8,)]),
    ("linear", lambda x, w, b, r: ops.linear(x, w, b, residual=r), [(2, 3, 5), (4, 5), (4,), (2, 3, 4)]),
    ("conv", lambda x, w, b: ops.conv2d(x, w, b, 1, (1, 1)), [(1, 5, 4, 17), (6, 17, 3, 3), (6,)]),
    ("strided", lambda x, w, b: ops.conv2d(x, w, b, 2, (0, 1)), [(1, 5, 4, 3), (6, 3, 3, 3), (6,)]),
    (
        "group_norm",
        lambda x, w, b, s: ops.group_norm(x, 2, w, b, 1e-5, shift=s, silu=True),
        [(2, 3, 4, 6), (6,), (6,), (2, 6)],
    ),
    ("layer_norm", lambda x, w, b: ops.layer_norm(x, w, b, 1e-5), [(2, 3, 6), (6,), (6,)]),
    ("attention", ops.attention, [(2, 5, 2, 4), (2, 7, 2, 4), (2, 7, 2, 4)]),
    (
        "shared attention",
        lambda q, k, v, a, b: ops.attention(q, k, v, shared=ops.KeyValue(a, b, 0.3), temperature=1.2),
        [(2, 5, 2, 4), (2, 7, 2, 4), (2, 7, 2, 4), (1, 3, 2, 4), (1, 3, 2, 4)],
    ),
    ("upsampling", lambda x: ops.upsample_nearest(x, 5, 8), [(1, 3, 4, 2)]),
    ("concat", ops.concat_channels, [(2, 3, 4), (2, 3, 5)]),
    ("add", ops.add, [(2, 3), (2, 3)]),
    ("layouts", lambda x: ops.channels_first(ops.silu(ops.channels_last(x))), [(2, 3, 4, 5)]),
]


@pytest.mark.parametrize(("function", "shapes"), [case[1:] for case in GRADIENTS], ids=[case[0] for case in GRADIENTS])
def test_fused_gradients_are_those_of_automatic_differentiation(
    function: Callable[..., jt.Var], shapes: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    if operator.unavailable() is not None:
        pytest.skip(str(operator.unavailable()))
    inputs = [jt.array(normal(*shape)) for shape in shapes]

    def gradients() -> list[np.ndarray]:
        out = function(*inputs)
        weights = np.cos(np.arange(out.numel(), dtype=np.float32)).reshape(out.shape)
        return [np.array(g.numpy()) for g in jt.grad((out * jt.array(weights)).sum(), inputs)]

    fused = gradients()
    monkeypatch.setattr(operator, "unavailable", lambda: "switched off by a test")
    for gradient, plain in zip(fused, gradients()):
        assert np.linalg.norm(plain) > 0
        assert relative_error(gradient, np.float64(plain)) < 5e-6


def test_frozen_weights_get_no_gradient_and_the_input_still_does() -> None:
    x, weight = jt.array(normal(3, 5)), jt.array(normal(4, 5)).stop_grad()
    gradient = jt.grad(ops.linear(x, weight).sum(), x)
    assert relative_error(gradient, np.float64(np.tile(weight.numpy().sum(0), (3, 1)))) < TOLERANCE
