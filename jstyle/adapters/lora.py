"""LoRA (arXiv 2106.09685): layers with a low-rank product added, y = W x + alpha / rank B A x.

A layer computes as before, and the kernel that applies B adds that as its ``residual``: the change B A of the weight is
never formed, except where adapters are fused, or where adapters of other kinds change the same layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Optional, TypeVar

import numpy as np

from jstyle import ops
from jstyle.adapters.changes import Additive, Change
from jstyle.adapters.reweighted import fuse_layer, reweight_layer
from jstyle.errors import InputError
from jstyle.networks.editing import swapped
from jstyle.networks.layers import Conv2d, GroupNorm, LayerNorm, Linear, cast_like
from jstyle.runtime import jt

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
FEED_FORWARD = ("ff.net.0.proj", "ff.net.2")
CONVOLUTIONS = ("conv1", "conv2", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv")
TEXT_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")


@dataclass(frozen=True)
class LowRank(Additive):
    """The change of one layer by plain LoRA.

    Of a linear layer: ``down`` (rank, in) and ``up`` (out, rank). Of a convolution: ``down`` (rank, in, k, k), applied
    with its stride and padding, and ``up`` (out, rank, 1, 1). In training ``dropout`` is applied before ``down``.
    """

    down: jt.Var
    up: jt.Var
    alpha: float
    dropout: Optional[Callable[[jt.Var], jt.Var]] = None

    @property
    def rank(self) -> int:
        """The width between the two matrices."""
        return self.down.shape[0]

    @property
    def scale(self) -> float:
        """The factor of the product, alpha / rank (section 4.1)."""
        return self.alpha / self.rank

    def strengthen(self, factor: float) -> LowRank:
        """The same change with ``factor`` times the effect."""
        return LowRank(self.down, self.up, self.alpha * factor, self.dropout)

    def compute_delta(self) -> np.ndarray:
        """The change of the weight, (out, in) or (out, in, k, k), in fp32."""
        down, up = (np.array(ops.cast(x, "float32").numpy()) for x in (self.down, self.up))
        flat = up.reshape(len(up), -1) @ down.reshape(len(down), -1)
        return (np.float32(self.scale) * flat).reshape(len(up), *down.shape[1:])

    def describe(self) -> Iterator[bytes]:
        """All that tells it from other changes, for digests."""
        yield repr(self.alpha).encode()
        for matrix in (self.down, self.up):
            yield np.ascontiguousarray(matrix.numpy()).tobytes()

    def _scale_up(self) -> jt.Var:
        """``up`` times the scale."""
        return self.up if self.scale == 1 else self.up * self.scale

    def _drop_out(self, x: jt.Var) -> jt.Var:
        return x if self.dropout is None else self.dropout(x)


Kind = TypeVar("Kind", bound=Change)
Layers = Mapping[str, Kind]


@dataclass(frozen=True)
class Lora(Generic[Kind]):
    """An adapter: the changes of layers, by their paths in the UNet and in the text encoders; SDXL has a second one.

    A training has `LowRank` ones; what is read from a file may be of any kind.
    """

    unet: Mapping[str, Kind]
    text_encoder: Mapping[str, Kind]
    text_encoder_2: Mapping[str, Kind] = field(default_factory=dict)

    def of(self, component: str) -> Mapping[str, Kind]:
        """The changes in ``component``, "unet", "text_encoder" or "text_encoder_2"."""
        return getattr(self, component)


class LoraLinear(Linear):
    """A linear layer and what adapters add to it. It shares the layer's weights, under the same names."""

    def __init__(self, base: Linear, changes: Sequence[LowRank]) -> None:
        self.weight, self.bias = base.weight, base.bias
        self._changes = (*getattr(base, "_changes", ()), *changes)  # those of a layer that is trained stay

    def execute(self, x: jt.Var, residual: Optional[jt.Var] = None) -> jt.Var:
        """x (..., in_features) -> (..., out_features), the shape of the residual."""
        out = super().execute(x, residual)
        for change in self._changes:
            down, up = cast_like(x, change.down, change._scale_up())
            out = ops.linear(ops.linear(change._drop_out(x), down), up, residual=out)
        return out

    def geglu(self, x: jt.Var) -> jt.Var:
        """``ops.geglu`` of the result, (..., out_features / 2)."""
        return ops.geglu(self(x))


class LoraConv2d(Conv2d):
    """A convolution and what adapters add to it. It shares the layer's weights, under the same names."""

    def __init__(self, base: Conv2d, changes: Sequence[LowRank]) -> None:
        self.weight, self.bias = base.weight, base.bias
        self.stride, self.padding = base.stride, base.padding
        self._changes = (*getattr(base, "_changes", ()), *changes)  # those of a layer that is trained stay

    def execute(self, x: jt.Var, residual: Optional[jt.Var] = None) -> jt.Var:
        """x (batch, height, width, in_channels) -> (batch, height', width', out_channels), as is the residual."""
        out = super().execute(x, residual)
        for change in self._changes:
            inputs, (down, up) = change._drop_out(x), cast_like(x, change.down, change._scale_up())
            if down.shape[2] == 1 and self.stride == 1:
                hidden = ops.linear(inputs, down)
            else:
                hidden = ops.conv2d(inputs, down, None, self.stride, self.padding)
            out = ops.linear(hidden, up, residual=out)
        return out


def layers(network: jt.Module, endings: Optional[Sequence[str]] = None) -> dict[str, Any]:
    """The linear layers and convolutions of a network by path: all, or those whose path ends in one of ``endings``."""
    return {
        path: module
        for path, module in network.named_modules()
        if isinstance(module, (Linear, Conv2d))
        and (endings is None or any(path == end or path.endswith(f".{end}") for end in endings))
    }


def norms(network: jt.Module) -> dict[str, Any]:
    """The layer norms and group norms of a network by path."""
    return {path: module for path, module in network.named_modules() if isinstance(module, (LayerNorm, GroupNorm))}


@contextmanager
def changed(network: jt.Module, adapters: Sequence[Mapping[str, Change]], fuse: bool = False) -> Iterator[None]:
    """Apply the changes of these adapters until the end of the ``with``, then put back the very layers there were.

    Where plain LoRA alone changes a layer, it is computed beside it; other kinds give the layer other weights, which
    take their memory. ``fuse`` adds all into new weights, which are then the network's: as fast as without adapters.
    The old weights are kept meanwhile, because subtracting again would not restore their last bits. Raises InputError
    for a path at which there is no such layer, and where a layer without a bias would be fused with one.
    """
    bases = {**layers(network), **norms(network)}
    replacements = {}
    for path in dict.fromkeys(path for adapter in adapters for path in adapter):
        if path not in bases:
            raise InputError(f"{type(network).__name__} has no layer {path!r} that an adapter could change")
        base, changes = bases[path], [adapter[path] for adapter in adapters if path in adapter]
        low_rank = [change for change in changes if isinstance(change, LowRank)]
        if fuse:
            replacements[path] = fuse_layer(base, changes, path)
        elif len(low_rank) == len(changes):
            replacements[path] = (LoraLinear if isinstance(base, Linear) else LoraConv2d)(base, low_rank)
        else:
            replacements[path] = reweight_layer(base, changes)
    with swapped(network, replacements):
        yield
