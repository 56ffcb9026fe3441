"""The arithmetic in plain Jittor: what the fused kernels are compared with, and what runs where they cannot.

Each function is named after the one in ``jstyle.ops`` that it computes, where layouts and sources are described.
"""

from __future__ import annotations

from typing import Optional

from jstyle.runtime import jt

# The logits of one slice of queries are at most this many numbers (256 MB in fp32).
MAX_LOGITS = 1 << 26


def silu(x: jt.Var) -> jt.Var:
    """x * sigmoid(x), any shape."""
    return x * jt.sigmoid(x)


def gelu(x: jt.Var) -> jt.Var:
    """x * Phi(x), any shape."""
    return x * 0.5 * (1.0 + jt.erf(x * (0.5**0.5)))


def quick_gelu(x: jt.Var) -> jt.Var:
    """x * sigmoid(1.702 x), any shape."""
    return x * jt.sigmoid(x * 1.702)


def add(a: jt.Var, b: jt.Var) -> jt.Var:
    """a + b, both of one shape."""
    return a + b


def concat_channels(a: jt.Var, b: jt.Var) -> jt.Var:
    """(..., c1) and (..., c2) -> (..., c1 + c2)."""
    return jt.concat([a, b], dim=len(a.shape) - 1)


def geglu(x: jt.Var) -> jt.Var:
    """(..., 2c) -> (..., c): the first half times gelu of the second."""
    half = x.shape[-1] // 2
    return x[..., :half] * gelu(x[..., half:])


def group_norm(
    x: jt.Var, weight: jt.Var, bias: jt.Var, shift: Optional[jt.Var], *, groups: int, eps: float, silu: bool
) -> jt.Var:
    """x (batch, height, width, channels) -> the same; fp16 is computed in fp32."""
    (b, h, w, c), dtype = x.shape, x.dtype
    x, weight, bias = _widen(x), _widen(weight), _widen(bias)
    if shift is not None:
        x = x + _widen(shift).reshape(b, 1, 1, c)
    # The variance is taken in a second pass: in a single one, a large mean costs it all its digits.
    grouped = x.reshape(b, h * w, groups, c // groups)
    centred = grouped - grouped.mean(dims=(1, 3), keepdims=True)
    variance = (centred * centred).mean(dims=(1, 3), keepdims=True)
    normed = (centred / jt.sqrt(variance + eps)).reshape(b, h, w, c) * weight + bias
    return (normed * jt.sigmoid(normed) if silu else normed).cast(dtype)


def layer_norm(x: jt.Var, weight: jt.Var, bias: jt.Var, *, eps: float) -> jt.Var:
    """x (..., channels) -> the same; fp16 is computed in fp32."""
    dtype, x = x.dtype, _widen(x)
    centred = x - x.mean(dim=-1, keepdims=True)
    variance = (centred * centred).mean(dim=-1, keepdims=True)
    return (centred / jt.sqrt(variance + eps) * _widen(weight) + _widen(bias)).cast(dtype)


def linear(x: jt.Var, weight: jt.Var, bias: Optional[jt.Var], residual: Optional[jt.Var]) -> jt.Var:
    """x (..., in), weight (out, in) or (out, in, 1, 1) -> (..., out), the shape of the residual."""
    out_features, in_features = weight.shape[:2]
    rows = jt.nn.matmul_transpose(x.reshape(-1, in_features), weight.reshape(out_features, in_features))
    if bias is not None:
        rows = rows + bias
    out = rows.reshape([*x.shape[:-1], out_features])
    return out if residual is None else out + residual


def linear_geglu(x: jt.Var, weight: jt.Var, bias: Optional[jt.Var]) -> jt.Var:
    """x (..., in), weight (2c, in) -> (..., c)."""
    return geglu(linear(x, weight, bias, None))


def conv2d(
    x: jt.Var,
    weight: jt.Var,
    bias: Optional[jt.Var],
    residual: Optional[jt.Var],
    *,
    stride: int,
    padding: int,
    height: int,
    width: int,
) -> jt.Var:
    """x (batch, h, w, in), weight (out, in, kernel_h, kernel_w) -> (batch, height, width, out), as is the residual.

    ``padding`` is that at the top and left. Written as the product and sum that Jittor's tuner recognises in
    this layout, so that it runs on oneDNN or cuDNN without a transpose.
    """
    b, h, w, c = x.shape
    out_channels, _, kernel_h, kernel_w = weight.shape
    size = (height, width)
    after = [(n - 1) * stride + kernel - padding - side for n, kernel, side in zip(size, weight.shape[2:], (h, w))]
    if max(after) > padding:  # the tuned operators have no padding that is larger at the bottom and right
        x = x.reindex([b, h + max(after), w + max(after), c], ["i0", "i1", "i2", "i3"], overflow_value=0.0)
    patches = x.reindex(
        [b, *size, out_channels, c, kernel_h, kernel_w],
        ["i0", f"i1*{stride}-{padding}+i5", f"i2*{stride}-{padding}+i6", "i4"],
    )
    out = (patches * weight.broadcast(patches.shape, [0, 1, 2])).sum([4, 5, 6])
    if bias is not None:
        out = out + bias
    return out if residual is None else out + residual


def upsample_nearest(x: jt.Var, *, height: int, width: int) -> jt.Var:
    """x (batch, h, w, c) -> (batch, height, width, c), of the doubled map."""
    b, h, w, c = x.shape
    doubled = x.reshape(b, h, 1, w, 1, c).broadcast([b, h, 2, w, 2, c]).reshape(b, 2 * h, 2 * w, c)
    if (height, width) == (2 * h, 2 * w):
        return doubled
    return doubled[:, :height, :width, :]


def attention(
    q: jt.Var,
    k: jt.Var,
    v: jt.Var,
    bias: Optional[jt.Var],
    shared_k: Optional[jt.Var],
    shared_v: Optional[jt.Var],
    *,
    scale: float,
    shift: float,
    upcast: bool,
) -> jt.Var:
    """q (batch, queries, heads, head_dim) -> the same, a slice of the queries at a time.

    ``shared_k`` and ``shared_v`` are the second set of keys and values, ``shift`` is added to its logits, ``scale``
    multiplies all q k^T.
    """
    q_heads, k_heads, v_heads = (_put_heads_first(x, q.shape[0]) for x in (q, k, v))
    shared = [x for x in (shared_k, shared_v) if x is not None]
    shared_heads = tuple(_put_heads_first(x, q.shape[0]) for x in shared) or None
    queries, keys = q.shape[1], k.shape[1] + (shared[0].shape[1] if shared else 0)
    step = max(1, MAX_LOGITS // (q.shape[0] * q.shape[2] * keys))
    slices = []
    for start in range(0, queries, step):
        stop = min(start + step, queries)
        part = q_heads if stop - start == queries else q_heads[:, :, start:stop]
        part_bias = bias[:, :, start:stop] if bias is not None and bias.shape[2] == queries else bias
        slices.append(_attend(part, k_heads, v_heads, part_bias, shared_heads, shift, scale, upcast))
        if step < queries:
            slices[-1].sync()  # frees this slice's logits before those of the next are made
    out = slices[0] if len(slices) == 1 else jt.concat(slices, dim=2)
    return out.transpose(0, 2, 1, 3)


def _widen(x: jt.Var) -> jt.Var:
    """fp16 as fp32: its squares overflow, and its sums lose digits."""
    return x.float32() if str(x.dtype) == "float16" else x


def _put_heads_first(x: jt.Var, batch: int) -> jt.Var:
    """(batch or 1, tokens, heads, head_dim) -> (batch, heads, tokens, head_dim)."""
    if x.shape[0] != batch:
        x = x.expand([batch, *x.shape[1:]])
    return x.transpose(0, 2, 1, 3)


def _attend(
    q: jt.Var,
    k: jt.Var,
    v: jt.Var,
    bias: Optional[jt.Var],
    shared: Optional[tuple[jt.Var, ...]],
    shift: float,
    scale: float,
    upcast: bool,
) -> jt.Var:
    dtype = q.dtype
    if upcast:
        q, k = q.float32(), k.float32()
    q = q * scale
    logits = jt.matmul(q, k.transpose(0, 1, 3, 2)).float32()
    if bias is not None:
        logits = logits + bias
    if shared is not None:
        shared_logits = jt.matmul(q, shared[0].cast(q.dtype).transpose(0, 1, 3, 2)).float32() + shift
        logits = jt.concat([logits, shared_logits], dim=-1)
        v = jt.concat([v, shared[1]], dim=2)
    return jt.matmul(jt.nn.softmax(logits, dim=-1).cast(dtype), v)
