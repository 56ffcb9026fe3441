"""The fused attention, forward and backward, against float64 NumPy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Optional

import ml_dtypes
import numpy as np
import pytest

from jstyle.ops.kernels import library

FORWARD, BACKWARD, BF16 = 2e-6, 1e-5, 1e-2
NAMES = ("q", "k", "v", "bias", "shared_k", "shared_v")

# Batch, queries, keys, heads, head_dim.
SHAPES = [
    (1, 1, 1, 1, 4),
    (2, 13, 77, 3, 5),
    (1, 77, 77, 2, 64),
    (2, 257, 131, 2, 40),
    (1, 300, 513, 3, 64),
    (2, 97, 257, 2, 80),
    (1, 33, 200, 1, 160),
    (1, 50, 270, 1, 512),
    (1, 97, 129, 2, 8),
    (2, 1, 600, 2, 17),
]


@dataclass(frozen=True)
class Case:
    """The inputs of one call."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    bias: Optional[np.ndarray] = None
    shared_k: Optional[np.ndarray] = None
    shared_v: Optional[np.ndarray] = None
    shift: float = 0.0
    scale: Optional[float] = None

    def inputs(self) -> list[Optional[np.ndarray]]:
        return [getattr(self, name) for name in NAMES]

    def attributes(self) -> dict[str, float]:
        return {"scale": self.q.shape[-1] ** -0.5 if self.scale is None else self.scale, "shift": self.shift}

    def forward(self) -> tuple[np.ndarray, np.ndarray]:
        batch, queries, heads, _ = self.q.shape
        out, lse = np.full_like(self.q, np.nan), np.full((batch, heads, queries), np.nan, np.float32)
        library.run("attention", self.inputs(), [out, lse], **self.attributes())
        return out, lse

    def backward(self, dout: Optional[np.ndarray], wanted: tuple[str, ...] = NAMES) -> dict[str, np.ndarray]:
        arrays = {name: getattr(self, name) for name in wanted if name != "bias"}
        gradients = {name: np.full_like(x, np.nan) for name, x in arrays.items() if x is not None}
        outputs = [gradients.get(name) for name in NAMES]
        library.run("attention_backward", [*self.inputs(), *self.forward(), dout, None], outputs, **self.attributes())
        return gradients


def normal(*shape: int, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(np.float32).astype(dtype)


def case(
    shape: tuple[int, int, int, int, int], dtype: Any = np.float32, key_batch: Optional[int] = None, shared: int = 0
) -> Case:
    """Random inputs; ``shared`` is the length of the second set, of batch 1."""
    batch, queries, keys, heads, dim = shape
    key_batch = batch if key_batch is None else key_batch
    q = normal(batch, queries, heads, dim, seed=1, dtype=dtype)
    k, v = (normal(key_batch, keys, heads, dim, seed=seed, dtype=dtype) for seed in (2, 3))
    if not shared:
        return Case(q, k, v)
    shared_k, shared_v = (normal(1, shared, heads, dim, seed=seed, dtype=dtype) for seed in (4, 5))
    return Case(q, k, v, shared_k=shared_k, shared_v=shared_v, shift=0.7)


def merged(x: np.ndarray, shared: Optional[np.ndarray], batch: int) -> np.ndarray:
    sets = [np.broadcast_to(np.float64(part), (batch, *part.shape[1:])) for part in (x, shared) if part is not None]
    return np.concatenate(sets, axis=1)


def exact_weights(c: Case) -> tuple[np.ndarray, np.ndarray]:
    """The softmax and its log-sum-exp, in float64."""
    attributes, keys = c.attributes(), c.k.shape[1]
    logits = np.einsum("bqhd,bkhd->bhqk", np.float64(c.q), merged(c.k, c.shared_k, len(c.q))) * attributes["scale"]
    if c.bias is not None:
        logits[..., :keys] += c.bias
    logits[..., keys:] += c.shift
    largest = logits.max(-1, keepdims=True)
    weights = np.exp(logits - largest)
    total = weights.sum(-1, keepdims=True)
    return weights / total, (largest + np.log(total))[..., 0]


def exact_forward(c: Case) -> np.ndarray:
    return np.einsum("bhqk,bkhd->bqhd", exact_weights(c)[0], merged(c.v, c.shared_v, len(c.q)))


def exact_backward(c: Case, dout: np.ndarray) -> dict[str, np.ndarray]:
    weights, dout = exact_weights(c)[0], dout.astype(np.float64)
    q, k, v = np.float64(c.q), merged(c.k, c.shared_k, len(c.q)), merged(c.v, c.shared_v, len(c.q))
    dweights = np.einsum("bqhd,bkhd->bhqk", dout, v)
    dlogits = weights * (dweights - (weights * dweights).sum(-1, keepdims=True)) * c.attributes()["scale"]
    dq = np.einsum("bhqk,bkhd->bqhd", dlogits, k)
    dk, dv = np.einsum("bhqk,bqhd->bkhd", dlogits, q), np.einsum("bhqk,bqhd->bkhd", weights, dout)
    keys = c.k.shape[1]
    parts = {"q": dq, "k": dk[:, :keys], "v": dv[:, :keys], "shared_k": dk[:, keys:], "shared_v": dv[:, keys:]}
    like = {name: getattr(c, name) for name in parts}
    return {
        name: part.sum(0, keepdims=True) if len(like[name]) < len(part) else part
        for name, part in parts.items()
        if like[name] is not None
    }


def error(actual: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(np.float64(actual) - exact).max() / max(np.abs(exact).max(), 1e-2))


def check_forward(c: Case, tolerance: float = FORWARD) -> None:
    out, lse = c.forward()
    assert error(out, exact_forward(c)) < tolerance
    assert np.abs(lse - exact_weights(c)[1]).max() < max(tolerance, 1e-6 * np.abs(lse).max())


def check_backward(c: Case, tolerance: float = BACKWARD) -> None:
    dout = normal(*c.q.shape, seed=6, dtype=c.q.dtype)
    gradients = c.backward(dout)
    for name, exact in exact_backward(c, dout).items():
        assert error(gradients[name], exact) < tolerance, name


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("shared", [0, 7])
def test_sizes(shape: tuple[int, int, int, int, int], shared: int) -> None:
    check_forward(case(shape, shared=shared))
    check_backward(case(shape, shared=shared))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("shared", [0, 7])
def test_bfloat16(shape: tuple[int, int, int, int, int], shared: int) -> None:
    check_forward(case(shape, ml_dtypes.bfloat16, shared=shared), BF16)
    check_backward(case(shape, ml_dtypes.bfloat16, shared=shared), BF16)


@pytest.mark.parametrize("key_batch,shared", [(1, 0), (1, 300), (3, 300)])
def test_keys_for_all_rows(key_batch: int, shared: int) -> None:
    check_forward(case((3, 210, 140, 2, 24), key_batch=key_batch, shared=shared))
    check_backward(case((3, 210, 140, 2, 24), key_batch=key_batch, shared=shared))


def test_shared_keys_of_every_row() -> None:
    c = case((2, 30, 20, 2, 16))
    c = replace(c, shared_k=normal(2, 40, 2, 16, seed=7), shared_v=normal(2, 40, 2, 16, seed=8), shift=-1.5)
    check_forward(c)
    check_backward(c)


@pytest.mark.parametrize("axes", range(16))
@pytest.mark.parametrize("shared", [0, 5])
def test_bias_broadcasts(axes: int, shared: int) -> None:
    shape = [n if axes >> i & 1 else 1 for i, n in enumerate((2, 3, 110, 267))]
    c = replace(case((2, 110, 267, 3, 8), shared=shared), bias=normal(*shape, seed=9))
    check_forward(c)
    check_backward(c)


@pytest.mark.parametrize("masked", [-1e9, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_masked_keys_have_no_weight(masked: float, dtype: Any) -> None:
    tokens = 300
    c = case((1, tokens, tokens, 2, 8), dtype)
    later = np.triu(np.ones((tokens, tokens), bool), 1)
    c = replace(c, bias=np.where(later, np.float32(masked), np.float32(0))[None, None])
    out, _ = c.forward()
    assert error(out, exact_forward(c)) < (FORWARD if dtype == np.float32 else BF16)
    check_backward(c, BACKWARD if dtype == np.float32 else BF16)
    poisoned = replace(c, v=c.v.copy())
    poisoned.v[:, 200:] = 1e30
    assert np.array_equal(poisoned.forward()[0][:, :200], out[:, :200])


@pytest.mark.parametrize("masked", [-1e9, -np.inf])
def test_the_only_key_may_be_the_last(masked: float) -> None:
    bias = np.full((1, 1, 1, 700), masked, np.float32)
    bias[..., -1] = -50.0
    c = replace(case((1, 5, 700, 1, 16)), bias=bias)
    assert np.array_equal(c.forward()[0], np.repeat(c.v[:, -1:], 5, axis=1))
    gradients = c.backward(normal(*c.q.shape))
    assert all(np.isfinite(x).all() for x in gradients.values())
    assert not gradients["v"][:, :-1].any()


def test_a_row_without_keys_is_zero() -> None:
    c = replace(case((1, 3, 300, 1, 8)), bias=np.full((1, 1, 1, 300), -np.inf, np.float32))
    out, lse = c.forward()
    assert not out.any() and np.isneginf(lse).all()
    assert all(not x.any() for x in c.backward(normal(*c.q.shape)).values())


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_nan_stays_nan(dtype: Any) -> None:
    c = case((1, 20, 300, 2, 8), dtype)
    c.q[0, 3, 1, 2] = np.nan
    out, lse = c.forward()
    expected = np.zeros((20, 2), bool)
    expected[3, 1] = True
    assert np.array_equal(np.isnan(np.float32(out[0])), np.repeat(expected[..., None], 8, axis=-1))
    assert np.array_equal(np.isnan(lse[0]), expected.T)


@pytest.mark.parametrize("scale", [-0.3, 0.0, 2.0])
def test_any_scale(scale: float) -> None:
    check_forward(replace(case((1, 40, 300, 2, 16)), scale=scale))
    check_backward(replace(case((1, 40, 300, 2, 16)), scale=scale))


def test_large_means() -> None:
    """Logits of 7,200 in fp32 are known to 5e-4; so are the weights, and no better."""
    c = case((1, 130, 300, 2, 64))
    c = replace(c, q=c.q + np.float32(30), k=c.k + np.float32(30))
    out, lse = c.forward()
    assert error(out, exact_forward(c)) < 4e-3
    assert error(lse, exact_weights(c)[1]) < 1e-6


def test_large_logits_that_grow() -> None:
    """Each block of keys holds logits far above the last, in all beyond the range of exp: blocks rescale."""
    c = case((1, 100, 900, 1, 32))
    c = replace(c, bias=np.linspace(-80, 80, 900, dtype=np.float32)[None, None, None])
    check_forward(c, 2e-5)  # a logit of 80 is known to 4e-6 in fp32
    check_backward(c, 5e-5)


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize("shape", [(2, 13, 77, 3, 5), (2, 99, 261, 3, 17), (2, 99, 261, 3, 40)])
def test_heads_and_rows_do_not_touch(shape: tuple[int, int, int, int, int], dtype: Any) -> None:
    c, spoiled = case(shape, dtype), case(shape, dtype)
    dout, spoiled_dout = normal(*c.q.shape, dtype=dtype), normal(*c.q.shape, dtype=dtype)
    for x in (spoiled.q, spoiled.k, spoiled.v, spoiled_dout):
        x[0], x[1, :, 0], x[1, :, 2] = np.nan, np.nan, np.nan
    assert np.array_equal(spoiled.forward()[0][1, :, 1], c.forward()[0][1, :, 1])
    expected = c.backward(dout)
    for name, x in spoiled.backward(spoiled_dout).items():
        assert np.array_equal(x[1, :, 1], expected[name][1, :, 1]), name


def test_many_tokens() -> None:
    c, rows = case((1, 9216, 9216, 1, 64)), slice(5, None, 600)
    assert error(c.forward()[0][:, rows], exact_forward(replace(c, q=c.q[:, rows]))) < FORWARD


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_threads_do_not_change_a_bit(dtype: Any) -> None:
    c = case((2, 500, 300, 3, 40), dtype, key_batch=1, shared=20)
    dout = normal(*c.q.shape, dtype=dtype)
    results = []
    for threads in (1, 2, 4, 2):
        library.set_threads(threads)
        results.append([*c.forward(), *c.backward(dout).values()])
    for other in results[1:]:
        assert all(a.tobytes() == b.tobytes() for a, b in zip(results[0], other))


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize(
    "wanted",
    [("q",), ("k",), ("v",), ("shared_k",), ("shared_v",), ("q", "v"), ("k", "shared_v"), ("q", "shared_k"), ()],
)
def test_gradients_that_are_wanted(wanted: tuple[str, ...], dtype: Any) -> None:
    c = case((2, 130, 90, 2, 24), dtype, shared=30)
    dout = normal(*c.q.shape, seed=6, dtype=dtype)
    gradients, exact = c.backward(dout, wanted), exact_backward(c, dout)
    assert set(gradients) == set(wanted)
    for name in wanted:
        assert error(gradients[name], exact[name]) < (BACKWARD if dtype == np.float32 else BF16), name


def test_no_gradient_of_the_output() -> None:
    assert all(not x.any() for x in case((1, 5, 6, 2, 8), shared=3).backward(None).values())


def test_the_log_sum_exp_may_be_unwanted() -> None:
    c = case((1, 20, 30, 2, 8))
    out = np.empty_like(c.q)
    library.run("attention", c.inputs(), [out, None], **c.attributes())
    assert np.array_equal(out, c.forward()[0])


@pytest.mark.parametrize("shape", [(0, 4, 5, 2, 8), (1, 0, 5, 2, 8), (1, 4, 0, 2, 8)])
def test_nothing(shape: tuple[int, int, int, int, int]) -> None:
    c = case(shape)
    out, _ = c.forward()
    assert not out.any()
    assert all(not x.any() for x in c.backward(normal(*c.q.shape)).values())


def test_the_bias_has_no_gradient() -> None:
    c = replace(case((1, 4, 5, 2, 8)), bias=normal(1, 1, 4, 5))
    outputs = [None, None, None, np.empty_like(c.bias), None, None]
    with pytest.raises(ValueError, match="gradient of bias is not available"):
        library.run("attention_backward", [*c.inputs(), *c.forward(), c.q, None], outputs, **c.attributes())
