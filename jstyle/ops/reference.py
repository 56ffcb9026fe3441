"""The arithmetic in plain Jittor: what the fused kernels are compared with, and what runs where they cannot.

Signatures and layouts are those of the functions of the same name in ``jstyle.ops``.
"""

from __future__ import annotations

from typing import Optional, Tuple

from jstyle.runtime import jt

# The logits of one slice of queries stay under this many numbers (256 MB in fp32).
MAX_LOGITS = 1 << 26


def silu(x: jt.Var) -> jt.Var:
    return x * jt.sigmoid(x)


def gelu(x: jt.Var) -> jt.Var:
    return x * 0.5 * (1.0 + jt.erf(x * (0.5**0.5)))


def quick_gelu(x: jt.Var) -> jt.Var:
    return x * jt.sigmoid(x * 1.702)


def geglu(x: jt.Var) -> jt.Var:
    half = x.shape[-1] // 2
    return x[..., :half] * gelu(x[..., half:])


def group_norm(
    x: jt.Var, groups: int, weight: jt.Var, bias: jt.Var, eps: float, shift: Optional[jt.Var], silu_after: bool
) -> jt.Var:
    (b, h, w, c), dtype = x.shape, x.dtype
    x, weight, bias = _wide(x), _wide(weight), _wide(bias)
    if shift is not None:
        x = x + _wide(shift).reshape(b, 1, 1, c)
    # The variance is taken in a second pass: one pass loses all digits of a large mean.
    grouped = x.reshape(b, h * w, groups, c // groups)
    centred = grouped - grouped.mean(dims=(1, 3), keepdims=True)
    variance = (centred * centred).mean(dims=(1, 3), keepdims=True)
    normed = (centred / jt.sqrt(variance + eps)).reshape(b, h, w, c) * weight + bias
    return (silu(normed) if silu_after else normed).cast(dtype)


def layer_norm(x: jt.Var, weight: jt.Var, bias: jt.Var, eps: float) -> jt.Var:
    dtype, x = x.dtype, _wide(x)
    centred = x - x.mean(dim=-1, keepdims=True)
    variance = (centred * centred).mean(dim=-1, keepdims=True)
    return (centred / jt.sqrt(variance + eps) * _wide(weight) + _wide(bias)).cast(dtype)


def linear(x: jt.Var, weight: jt.Var, bias: Optional[jt.Var], residual: Optional[jt.Var]) -> jt.Var:
    out_features, in_features = weight.shape[:2]
    rows = jt.nn.matmul_transpose(x.reshape(-1, in_features), weight.reshape(out_features, in_features))
    if bias is not None:
        rows = rows + bias
    out = rows.reshape([*x.shape[:-1], out_features])
    return out if residual is None else out + residual


def conv2d(
    x: jt.Var,
    weight: jt.Var,
    bias: Optional[jt.Var],
    residual: Optional[jt.Var],
    stride: int,
    before: int,
    size: Tuple[int, int],
) -> jt.Var:
    """Written as the product and sum that Jittor's tuner recognises in this layout, so that it runs on oneDNN or
    cuDNN without a transpose. ``before`` is the padding at the top and left, ``size`` the output's."""
    b, h, w, c = x.shape
    out_channels, _, kernel_h, kernel_w = weight.shape
    after = [(n - 1) * stride + kernel - before - had for n, kernel, had in zip(size, weight.shape[2:], (h, w))]
    if max(after) > before:  # more than at the top and left, which the tuned operators do not know
        x = x.reindex([b, h + max(after), w + max(after), c], ["i0", "i1", "i2", "i3"], overflow_value=0.0)
    patches = x.reindex(
        [b, *size, out_channels, c, kernel_h, kernel_w],
        ["i0", f"i1*{stride}-{before}+i5", f"i2*{stride}-{before}+i6", "i4"],
    )
    out = (patches * weight.broadcast(patches.shape, [0, 1, 2])).sum([4, 5, 6])
    if bias is not None:
        out = out + bias
    return out if residual is None else out + residual


def upsample_nearest(x: jt.Var, height: int, width: int) -> jt.Var:
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
    extra: Optional[Tuple[jt.Var, jt.Var]],
    shift: float,
    scale: float,
    upcast: bool,
) -> jt.Var:
    heads_first = [_heads_first(x, q.shape[0]) for x in (q, k, v)]
    shared = None if extra is None else tuple(_heads_first(x, q.shape[0]) for x in extra)
    queries, keys = q.shape[1], k.shape[1] + (0 if extra is None else extra[0].shape[1])
    step = max(1, MAX_LOGITS // (q.shape[0] * q.shape[2] * keys))
    slices = []
    for start in range(0, queries, step):
        stop = min(start + step, queries)
        part = heads_first[0] if stop - start == queries else heads_first[0][:, :, start:stop]
        part_bias = bias[:, :, start:stop] if bias is not None and bias.shape[2] == queries else bias
        slices.append(_attend(part, heads_first[1], heads_first[2], part_bias, shared, shift, scale, upcast))
        if step < queries:
            slices[-1].sync()  # frees this slice's logits before the next slice's are made
    out = slices[0] if len(slices) == 1 else jt.concat(slices, dim=2)
    return out.transpose(0, 2, 1, 3)


def _wide(x: jt.Var) -> jt.Var:
    """fp16 as fp32: its squares overflow, and its sums lose digits."""
    return x.float32() if str(x.dtype) == "float16" else x


def _heads_first(x: jt.Var, batch: int) -> jt.Var:
    if x.shape[0] != batch:
        x = x.expand([batch, *x.shape[1:]])
    return x.transpose(0, 2, 1, 3)


def _attend(q, k, v, bias, shared, shift, scale, upcast) -> jt.Var:
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
