"""LoRA (arXiv 2106.09685): layers with a low-rank product beside their own, y = W x + alpha / rank B A x.

A layer is computed as before and the product is added to it through the second kernel's ``residual``: no change of a
weight is ever formed, except where adapters are fused.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Optional

import numpy as np

from jstyle import ops
from jstyle.errors import InputError
from jstyle.networks.editing import swapped
from jstyle.networks.layers import Conv2d, Linear, like
from jstyle.runtime import jt

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
FEED_FORWARD = ("ff.net.0.proj", "ff.net.2")
CONVOLUTIONS = ("conv1", "conv2", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv")
TEXT_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")


@dataclass(frozen=True)
class LowRank:
    """The change of one layer.

    Of a linear one: ``down`` (rank, in) and ``up`` (out, rank). Of a convolution: ``down`` (rank, in, k, k), with its
    stride and padding, and ``up`` (out, rank, 1, 1). ``dropout`` changes what ``down`` sees, in training.
    """

    down: jt.Var
    up: jt.Var
    alpha: float
    dropout: Optional[Callable[[jt.Var], jt.Var]] = None

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    @property
    def scale(self) -> float:
        """What the product is multiplied with (section 4.1)."""
        return self.alpha / self.rank

    def weighted(self, weight: float) -> LowRank:
        """The same with ``weight`` times the effect."""
        return LowRank(self.down, self.up, self.alpha * weight, self.dropout)

    def delta(self) -> np.ndarray:
        """(out, in) or (out, in, k, k): the change of the weight, in fp32."""
        down, up = (np.array(ops.cast(x, "float32").numpy()) for x in (self.down, self.up))
        flat = up.reshape(len(up), -1) @ down.reshape(len(down), -1)
        return (np.float32(self.scale) * flat).reshape(len(up), *down.shape[1:])

    def _scaled_up(self) -> jt.Var:
        return self.up if self.scale == 1 else self.up * self.scale

    def _seen(self, x: jt.Var) -> jt.Var:
        return x if self.dropout is None else self.dropout(x)


Layers = Mapping[str, LowRank]


@dataclass(frozen=True)
class Lora:
    """An adapter: the changes of layers by their paths in the UNet and in the text encoder."""

    unet: Layers
    text_encoder: Layers

    def of(self, component: str) -> Layers:
        return self.unet if component == "unet" else self.text_encoder


class LoraLinear(Linear):
    """A linear layer and what adapters add to it. Its weights are the layer's own, under the same names."""

    def __init__(self, base: Linear, changes: Sequence[LowRank]) -> None:
        self.weight, self.bias = base.weight, base.bias
        self._changes = tuple(changes)

    def execute(self, x: jt.Var, residual: Optional[jt.Var] = None) -> jt.Var:
        out = super().execute(x, residual)
        for change in self._changes:
            down, up = like(x, change.down, change._scaled_up())
            out = ops.linear(ops.linear(change._seen(x), down), up, residual=out)
        return out

    def geglu(self, x: jt.Var) -> jt.Var:
        return ops.geglu(self(x))


class LoraConv2d(Conv2d):
    """A convolution and what adapters add to it."""

    def __init__(self, base: Conv2d, changes: Sequence[LowRank]) -> None:
        self.weight, self.bias = base.weight, base.bias
        self.stride, self.padding = base.stride, base.padding
        self._changes = tuple(changes)

    def execute(self, x: jt.Var, residual: Optional[jt.Var] = None) -> jt.Var:
        out = super().execute(x, residual)
        for change in self._changes:
            seen, (down, up) = change._seen(x), like(x, change.down, change._scaled_up())
            if down.shape[2] == 1 and self.stride == 1:
                hidden = ops.linear(seen, down)
            else:
                hidden = ops.conv2d(seen, down, None, self.stride, self.padding)
            out = ops.linear(hidden, up, residual=out)
        return out


def layers(network: jt.Module, endings: Optional[Sequence[str]] = None) -> dict[str, Any]:
    """The linear layers and convolutions of a network by path, all or those whose path ends in one of ``endings``."""
    return {
        path: module
        for path, module in network.named_modules()
        if isinstance(module, (Linear, Conv2d))
        and (endings is None or any(path == end or path.endswith(f".{end}") for end in endings))
    }


@contextmanager
def changed(network: jt.Module, several: Sequence[Layers], fuse: bool = False) -> Iterator[None]:
    """The network with these changes until the end of the ``with``; then the very layers it had.

    ``fuse`` adds them into new weights: as fast as without adapters, for the memory of the changed layers. The old
    weights are kept meanwhile, because taking a product away again would not give back their last bits.
    """
    own = layers(network)
    replacements = {}
    for path in dict.fromkeys(path for one in several for path in one):
        if path not in own:
            raise InputError(f"{type(network).__name__} has no layer {path!r} that LoRA could change")
        base, changes = own[path], [one[path] for one in several if path in one]
        replacements[path] = _fused(base, changes) if fuse else _beside(base, changes)
    with swapped(network, replacements):
        yield


def _beside(base: Any, changes: Sequence[LowRank]) -> Any:
    return (LoraLinear if isinstance(base, Linear) else LoraConv2d)(base, changes)


def _fused(base: Any, changes: Sequence[LowRank]) -> Any:
    layer, dtype = copy.copy(base), str(base.weight.dtype)
    with jt.no_grad():
        total = sum(change.delta() for change in changes)
        layer.weight = ops.cast(ops.cast(base.weight, "float32") + jt.array(total), dtype).stop_grad()
        layer.weight.sync()
    return layer
