"""Layers of this project in the places of diffusers' layers, with the layouts and signatures of those.

diffusers' maps are (batch, channels, height, width), ours channels last; the layers that LoRA may change are called
with a scale. A bridge asks its `Seat` for the layer at every call, so that it uses a layer swapped in later.
"""

from __future__ import annotations

from typing import Any

from jstyle import ops
from jstyle.networks.layers import Conv2d, Embedding, GroupNorm, LayerNorm, Linear
from jstyle.runtime import jt


class Seat:
    """Where a network of ours keeps a module; ``original`` is the one that was there at first."""

    def __init__(self, holder: Any, name: str) -> None:
        self._holder = holder
        self._name = name
        self.original = holder[name]
        self._parameters = list_parameters(self.original)

    @property
    def current(self) -> Any:
        """The module that is there now."""
        return self._holder[self._name]

    @property
    def changed(self) -> bool:
        """Whether the module, or a parameter directly in it, is not the one that was there at first."""
        now = self.current
        return now is not self.original or any(getattr(now, key) is not var for key, var in self._parameters.items())


def list_parameters(module: Any) -> dict[str, jt.Var]:
    """The parameters directly in a module, by name."""
    return {key: var for key, var in vars(module).items() if isinstance(var, jt.Var) and not key.startswith("_")}


class Bridge(jt.Module):
    """A layer that works the same for diffusers and for us. Unlike diffusers' layers it ignores the scale."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        for key, var in list_parameters(seat.current).items():
            setattr(self, key, var)  # so that the network around it still has all its parameters

    def execute(self, x: jt.Var, scale: float = 1.0) -> jt.Var:
        """x -> the layer's result, both in the layer's own shapes."""
        return self._seat.current(x)


class ConvBridge(Bridge):
    """A convolution."""

    def execute(self, x: jt.Var, scale: float = 1.0) -> jt.Var:
        """x (batch, in_channels, height, width) -> (batch, out_channels, height', width')."""
        return ops.channels_first(self._seat.current(ops.channels_last(x)))


class GroupNormBridge(Bridge):
    """A group norm, and with ``silu`` that activation after it."""

    def __init__(self, seat: Seat, silu: bool = False) -> None:
        super().__init__(seat)
        self._silu = silu

    def execute(self, x: jt.Var, scale: float = 1.0) -> jt.Var:
        """x (batch, channels, ...) -> the same."""
        b, c, *space = x.shape
        flat = ops.channels_last(x.reshape(b, c, -1, space[-1]))
        return ops.channels_first(self._seat.current(flat, silu=self._silu)).reshape(x.shape)


class GEGLUBridge(jt.Module):
    """A gated projection in one kernel. ``proj`` is the layer it stands in for, kept for its parameters."""

    def __init__(self, seat: Seat, proj: Any) -> None:
        self._seat = seat
        self.proj = proj

    def execute(self, x: jt.Var, scale: float = 1.0) -> jt.Var:
        """x (batch, tokens, channels) -> (batch, tokens, inner)."""
        return self._seat.current(x)


class TimeSilu(jt.Module):
    """A residual block's activation where its norms apply their own: only the time's embedding still needs it."""

    def execute(self, x: jt.Var) -> jt.Var:
        """The embedding (batch, channels) -> its silu; a map -> itself."""
        return ops.silu(x) if len(x.shape) == 2 else x


BRIDGES: tuple[tuple[type, Any], ...] = (
    (Linear, Bridge),
    (LayerNorm, Bridge),
    (Embedding, Bridge),
    (Conv2d, ConvBridge),
    (GroupNorm, GroupNormBridge),
)
