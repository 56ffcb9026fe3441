"""Layers of this project in the places of diffusers' layers: their layouts and their signatures.

diffusers' maps are (batch, channels, height, width), ours channels last; its layers that LoRA may change are called
with a scale. A bridge asks its `Place` for the layer at every call, so that a layer which is swapped later is seen.
"""

from __future__ import annotations

from typing import Any, Dict, Tuple

from jstyle import ops
from jstyle.networks.layers import Conv2d, Embedding, GroupNorm, LayerNorm, Linear
from jstyle.runtime import jt


class Place:
    """Where a network of ours keeps a module: ``original`` was there at first, ``current`` is there now."""

    def __init__(self, holder: Any, name: str) -> None:
        self._holder = holder
        self._name = name
        self.original = holder[name]
        self._parameters = variables(self.original)

    @property
    def current(self) -> Any:
        return self._holder[self._name]

    @property
    def changed(self) -> bool:
        """Whether the module, or a parameter right in it, is another than at first."""
        now = self.current
        return now is not self.original or any(getattr(now, key) is not one for key, one in self._parameters.items())


def variables(module: Any) -> Dict[str, jt.Var]:
    """The parameters right in a module."""
    return {key: one for key, one in vars(module).items() if isinstance(one, jt.Var) and not key.startswith("_")}


class Bridge(jt.Module):
    """A layer that is the same in both worlds; other than diffusers' it makes nothing of the scale."""

    def __init__(self, place: Place) -> None:
        self._place = place
        for key, one in variables(place.current).items():
            setattr(self, key, one)  # so that the network around it still has all its parameters

    def execute(self, x: jt.Var, scale: float = 1.0) -> jt.Var:
        return self._place.current(x)


class ConvBridge(Bridge):
    """(batch, channels, height, width) through a convolution."""

    def execute(self, x: jt.Var, scale: float = 1.0) -> jt.Var:
        return ops.channels_first(self._place.current(ops.channels_last(x)))


class GroupNormBridge(Bridge):
    """(batch, channels, ...) through a group norm, with ``silu`` through that as well."""

    def __init__(self, place: Place, silu: bool = False) -> None:
        super().__init__(place)
        self._silu = silu

    def execute(self, x: jt.Var, scale: float = 1.0) -> jt.Var:
        b, c, *space = x.shape
        flat = ops.channels_last(x.reshape(b, c, -1, space[-1]))
        return ops.channels_first(self._place.current(flat, silu=self._silu)).reshape(x.shape)


class GEGLUBridge(jt.Module):
    """A gated projection in one kernel. ``proj`` is the layer that stands there, for its parameters."""

    def __init__(self, place: Place, proj: Any) -> None:
        self._place = place
        self.proj = proj

    def execute(self, x: jt.Var, scale: float = 1.0) -> jt.Var:
        return self._place.current(x)


class TimeSilu(jt.Module):
    """A residual block's activation where its norms apply their own: it is left to do for the time's embedding."""

    def execute(self, x: jt.Var) -> jt.Var:
        return ops.silu(x) if len(x.shape) == 2 else x


BRIDGES: Tuple[Tuple[type, Any], ...] = (
    (Linear, Bridge),
    (LayerNorm, Bridge),
    (Embedding, Bridge),
    (Conv2d, ConvBridge),
    (GroupNorm, GroupNormBridge),
)
