"""The leaves of the networks: modules that hold weights in diffusers' shapes and call ``jstyle.ops``.

Weights start as zeros that Jittor never has to materialise; every network here is filled from a file.
"""

from __future__ import annotations

from typing import Any, Optional

from jstyle import ops
from jstyle.networks.entry import check_ids
from jstyle.runtime import jt


def cast_like(x: jt.Var, weight: jt.Var, bias: Optional[jt.Var]) -> tuple[jt.Var, Any]:
    """A layer's weight and bias in the dtype of ``x``: training in fp16 keeps them in fp32."""
    dtype = str(x.dtype)
    return ops.cast(weight, dtype), None if bias is None else ops.cast(bias, dtype)


class Linear(jt.Module):
    """A linear layer, x W^T + b, plus a residual."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        self.weight = jt.zeros([out_features, in_features])
        self.bias = jt.zeros([out_features]) if bias else None

    def execute(self, x: jt.Var, residual: Optional[jt.Var] = None) -> jt.Var:
        """x (..., in_features) -> (..., out_features), the shape of the residual."""
        return ops.linear(x, *cast_like(x, self.weight, self.bias), residual=residual)

    def geglu(self, x: jt.Var) -> jt.Var:
        """``ops.geglu`` of the result, (..., out_features / 2); one kernel computes both where it can."""
        return ops.linear_geglu(x, *cast_like(x, self.weight, self.bias))


class Conv2d(jt.Module):
    """A two-dimensional convolution, plus a residual.

    ``padding`` counts the zeros at the top and left, and those at the bottom and right.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        padding: tuple[int, int] = (0, 0),
        bias: bool = True,
    ) -> None:
        self.weight = jt.zeros([out_channels, in_channels, kernel, kernel])
        self.bias = jt.zeros([out_channels]) if bias else None
        self.stride = stride
        self.padding = padding

    def execute(self, x: jt.Var, residual: Optional[jt.Var] = None) -> jt.Var:
        """x (batch, height, width, in_channels) -> (batch, height', width', out_channels), as is the residual."""
        weight, bias = cast_like(x, self.weight, self.bias)
        if weight.shape[2] == 1:
            return ops.linear(x, weight, bias, residual=residual)
        return ops.conv2d(x, weight, bias, self.stride, self.padding, residual=residual)


class GroupNorm(jt.Module):
    """Normalisation of each group of channels; see ``ops.group_norm``."""

    def __init__(self, groups: int, channels: int, eps: float) -> None:
        self.weight = jt.zeros([channels])
        self.bias = jt.zeros([channels])
        self.groups = groups
        self.eps = eps

    def execute(self, x: jt.Var, shift: Optional[jt.Var] = None, silu: bool = False) -> jt.Var:
        """x (batch, height, width, channels), to which ``shift`` (batch, channels) is added first -> the same shape."""
        return ops.group_norm(x, self.groups, *cast_like(x, self.weight, self.bias), self.eps, shift=shift, silu=silu)

    def affine(self) -> tuple[jt.Var, jt.Var]:
        """The factor and the shift of each channel, (channels,) each, for a norm in its place with other statistics."""
        return self.weight, self.bias


class LayerNorm(jt.Module):
    """Normalisation over the channels."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        self.weight = jt.zeros([channels])
        self.bias = jt.zeros([channels])
        self.eps = eps

    def execute(self, x: jt.Var) -> jt.Var:
        """x (..., channels) -> the same."""
        return ops.layer_norm(x, *cast_like(x, self.weight, self.bias), self.eps)


class Embedding(jt.Module):
    """A table with a row of ``channels`` numbers for each id."""

    def __init__(self, rows: int, channels: int) -> None:
        self.weight = jt.zeros([rows, channels])

    def execute(self, ids: jt.Var) -> jt.Var:
        """Integer ids of any shape -> (..., channels). Raises InputError for ids that the table does not have."""
        check_ids("embedding", ids, self.weight.shape[0])
        return self.weight[ids]


class Nothing(jt.Module):
    """Stands in for diffusers' dropouts, which do nothing at inference but take an index in a list."""

    def execute(self, x: jt.Var) -> jt.Var:
        """x, whatever it is -> x itself."""
        return x
