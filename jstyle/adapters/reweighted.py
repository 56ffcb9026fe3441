"""Layers that compute with other weights than they own: how adapters that are no plain LoRA act on a network.

Such a layer keeps the original's parameters under their names, so what is saved meanwhile is the model; what it
computes with lies beside them.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from jstyle import ops
from jstyle.adapters.changes import Change, Weights, change_weights
from jstyle.errors import InputError
from jstyle.networks.layers import Conv2d, GroupNorm, LayerNorm, Linear
from jstyle.runtime import jt


class _Reweighted(jt.Module):
    """A layer of the original's parameters that asks another one for its results."""

    def __init__(self, base: Any, layer: Any) -> None:
        self.__dict__.update(base.__dict__)
        self._instead = (layer,)  # in a tuple, where Jittor looks for no parameters

    def execute(self, *inputs: Any, **named: Any) -> jt.Var:
        """What the other layer makes of it."""
        return self._instead[0](*inputs, **named)


class ReweightedLinear(_Reweighted, Linear):
    """A linear layer with other weights."""

    def geglu(self, x: jt.Var) -> jt.Var:
        """``ops.geglu`` of the result, (..., out_features / 2)."""
        return self._instead[0].geglu(x)


class ReweightedConv2d(_Reweighted, Conv2d):
    """A convolution with other weights."""


class ReweightedGroupNorm(_Reweighted, GroupNorm):
    """A group norm with another factor and shift of each channel."""

    def affine(self) -> tuple[jt.Var, jt.Var]:
        """The factor and the shift of each channel."""
        return self._instead[0].affine()


class ReweightedLayerNorm(_Reweighted, LayerNorm):
    """A layer norm with another factor and shift of each channel."""


_KINDS = (
    (Linear, ReweightedLinear),
    (Conv2d, ReweightedConv2d),
    (GroupNorm, ReweightedGroupNorm),
    (LayerNorm, ReweightedLayerNorm),
)


def reweight_layer(base: Any, changes: Sequence[Change]) -> Any:
    """A layer with the parameters of ``base`` that computes with the weights after these changes."""
    for kind, reweighted in _KINDS:
        if isinstance(base, kind):
            original = read_weights(base)
            return reweighted(base, _copy_with(base, original, change_weights(original, changes)))
    raise AssertionError(f"no kind of layer that can be changed: {type(base).__name__}")


def fuse_layer(base: Any, changes: Sequence[Change], path: str) -> Any:
    """A layer whose parameters are the weights after these changes.

    Raises InputError, naming the layer by its ``path``, where it has no bias and would need one.
    """
    original = read_weights(base)
    weights = change_weights(original, changes)
    if base.bias is None and weights.bias is not None:
        raise InputError(
            f"the adapter gives {path} a bias, which this layer has no place for: it works beside the model, "
            "but cannot be fused"
        )
    return _copy_with(base, original, weights)


def read_weights(base: Any) -> Weights:
    """A layer's weight and bias as arrays in fp32."""
    with jt.no_grad():
        weight, bias = (None if var is None else _read(var) for var in (base.weight, base.bias))
    assert weight is not None
    return Weights(weight, bias)


def _read(var: jt.Var) -> np.ndarray:
    return np.array(ops.cast(var, "float32").numpy())


def _copy_with(base: Any, original: Weights, weights: Weights) -> Any:
    """A copy of the layer that owns these weights, in the dtype of the layer's, and shares the bias if that stayed."""
    layer, dtype = copy.copy(base), str(base.weight.dtype)
    with jt.no_grad():
        layer.weight = ops.cast(jt.array(np.ascontiguousarray(weights.weight)), dtype).stop_grad()
        layer.weight.sync()
        if weights.bias is not None and weights.bias is not original.bias:
            layer.bias = ops.cast(jt.array(np.ascontiguousarray(weights.bias)), dtype).stop_grad()
            layer.bias.sync()
    return layer
