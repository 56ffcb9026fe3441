"""LoRAs that are part of a network, so that any loop may train them.

`lora.changed` puts adapters on for a while and hides their matrices. Here they stay until they are taken off, and are
parameters under peft's names, ``....to_q.lora_A.default.weight``; the layers' own keep the names that they had.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from jstyle.adapters.lora import LoraConv2d, LoraLinear, LowRank, layers
from jstyle.networks.adaptable import AdaptedLayer, find_adapted_layers
from jstyle.networks.editing import find_holder
from jstyle.networks.layers import Linear
from jstyle.runtime import jt


class Matrix(jt.Module):
    """One matrix of a change, as a parameter."""

    def __init__(self, weight: jt.Var) -> None:
        self.weight = weight


class _Changed(AdaptedLayer):
    """A layer that carries low-rank changes by name."""

    _changes: Sequence[LowRank]

    def __init__(self, base: Any) -> None:
        super().__init__(base)
        self._by_name: dict[str, LowRank] = {}
        self.lora_A, self.lora_B = jt.nn.Sequential(), jt.nn.Sequential()

    def put(self, name: str, change: LowRank) -> None:
        """Take up a change, which has no effect before it is chosen."""
        self._by_name[name] = change
        self.lora_A.layers[name], self.lora_B.layers[name] = Matrix(change.down), Matrix(change.up)

    def list_adapters(self) -> list[str]:
        """The names of the changes."""
        return list(self._by_name)

    def list_parameters(self, name: str) -> list[jt.Var]:
        """A and B."""
        return [self._by_name[name].down, self._by_name[name].up]

    def choose(self, names: Sequence[str]) -> None:
        """Let these changes, and no others, have an effect."""
        self._changes = tuple(self._by_name[name] for name in names if name in self._by_name)

    def drop(self, name: str) -> None:
        """Forget a change, if it is here."""
        for held in (self._by_name, self.lora_A.layers, self.lora_B.layers):
            held.pop(name, None)

    def list_chosen(self) -> Sequence[LowRank]:
        """The changes that have an effect."""
        return self._changes

    def find(self, name: str) -> LowRank:
        """The change of that name, which is here."""
        return self._by_name[name]


class ChangedLinear(_Changed, LoraLinear):
    """A linear layer and changes that are trained."""

    def __init__(self, base: Any) -> None:
        LoraLinear.__init__(self, base, ())
        _Changed.__init__(self, base)


class ChangedConv2d(_Changed, LoraConv2d):
    """A convolution and changes that are trained."""

    def __init__(self, base: Any) -> None:
        LoraConv2d.__init__(self, base, ())
        _Changed.__init__(self, base)


def add_changes(network: jt.Module, name: str, changes: Mapping[str, LowRank]) -> None:
    """Make these changes of layers, by path, a part of the network. From then on nothing else of it is trained.

    They have no effect before ``network.set_adapter``.
    """
    for parameter in network.parameters():
        parameter.stop_grad()
    bases = layers(network)
    for path, change in changes.items():
        layer = bases[path]
        if not isinstance(layer, _Changed):
            layer = (ChangedLinear if isinstance(layer, Linear) else ChangedConv2d)(layer)
            holder, last = find_holder(network, path)
            holder[last] = layer
        layer.put(name, change)


def read_changes(network: jt.Module, name: str) -> dict[str, LowRank]:
    """The changes of that name by path, none where there is no such adapter. Their matrices are the parameters."""
    return {
        path: layer.find(name)
        for path, layer in find_adapted_layers(network)
        if isinstance(layer, _Changed) and name in layer.list_adapters()
    }


def hash_chosen(network: Any) -> str:
    """SHA-256 over the changes that have an effect, "" where there are none."""
    digest, is_plain = hashlib.sha256(), True
    for path, layer in find_adapted_layers(network):
        for change in layer.list_chosen() if isinstance(layer, _Changed) else ():
            is_plain = False
            for part in (path.encode(), *change.describe()):
                digest.update(part)
    return "" if is_plain else digest.hexdigest()
