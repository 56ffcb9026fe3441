"""What an adapter does to one layer, whatever its kind: numbers in, numbers out. Free of Jittor.

Several adapters on a layer act in their order, each on what those before it left, as in peft, LyCORIS and sd-scripts.
Those that add to the weight add up in any order; rotations and rescalings multiply.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import groupby
from typing import Any, Optional

import numpy as np


@dataclass(frozen=True)
class Weights:
    """A layer's ``weight`` (out, in), (out, in, k, k) or a norm's (channels,), and ``bias`` (out,) or None, in fp32."""

    weight: np.ndarray
    bias: Optional[np.ndarray]

    def add(self, delta: np.ndarray, bias: Optional[np.ndarray]) -> Weights:
        """The weights with these added; a layer without a bias gets one where it must."""
        if bias is None or self.bias is None:
            return Weights(self.weight + delta, self.bias if bias is None else bias)
        return Weights(self.weight + delta, self.bias + bias)


class Change(ABC):
    """What one adapter does to one layer; every kind is a dataclass."""

    @abstractmethod
    def strengthen(self, factor: float) -> Change:
        """The same change with ``factor`` times the effect."""

    @abstractmethod
    def change(self, now: Weights, original: Weights) -> Weights:
        """The weights after it, from those before it, ``now``, and the layer's ``original`` ones."""

    def describe(self) -> Iterator[bytes]:
        """All that tells it from other changes, for digests."""
        yield from _describe(self)


class Additive(Change):
    """A change that adds the same to the weight, whatever that is."""

    @abstractmethod
    def compute_delta(self) -> np.ndarray:
        """What is added to the weight, of its shape, in fp32."""

    def compute_bias(self) -> Optional[np.ndarray]:
        """What is added to the bias (out,), if anything."""
        return None

    def change(self, now: Weights, original: Weights) -> Weights:
        """The weights with the sum."""
        return now.add(self.compute_delta(), self.compute_bias())


def change_weights(original: Weights, changes: Sequence[Change]) -> Weights:
    """A layer's weights after these changes. What follows one another and adds is summed up first: fewer roundings."""
    now = original
    for adds, group in groupby(changes, key=lambda change: isinstance(change, Additive)):
        if adds:
            together = [change for change in group if isinstance(change, Additive)]
            biases = [bias for change in together if (bias := change.compute_bias()) is not None]
            delta = sum((change.compute_delta() for change in together), np.float32(0))
            now = now.add(np.asarray(delta), sum(biases[1:], biases[0]) if biases else None)
        else:
            for change in group:
                now = change.change(now, original)
    return now


def _describe(value: Any) -> Iterator[bytes]:
    if isinstance(value, np.ndarray):
        yield repr(value.shape).encode()
        yield np.ascontiguousarray(value).tobytes()
    elif is_dataclass(value):
        yield type(value).__name__.encode()
        for each in fields(value):
            yield each.name.encode()
            yield from _describe(getattr(value, each.name))
    elif isinstance(value, Mapping):
        for key in sorted(value):
            yield key.encode()
            yield from _describe(value[key])
    elif isinstance(value, tuple):
        for part in value:
            yield from _describe(part)
    else:
        yield repr(value).encode()
