"""Changes that depend on the weight they change: DoRA, GLoRA and (IA)3."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from jstyle.adapters.changes import Additive, Change, Weights

_TINY = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Decomposed(Change):
    """DoRA (arXiv 2402.09353): W' = m (W + D) / ||W + D||, with D a change that adds to the weight.

    ``magnitudes`` m are those of the rows (out,), with ``axis`` 0, as in peft, or of the columns (in,) with axis 1, as
    some trainers have them. The norm is that of the layer's own weight with D, whatever acted before. As in peft a
    strength scales D alone; at 0 the rows of W still have the lengths m.
    """

    direction: Additive
    magnitudes: np.ndarray
    axis: int

    def strengthen(self, factor: float) -> Decomposed:
        """The same change with D of ``factor`` times the size."""
        strengthened = self.direction.strengthen(factor)
        assert isinstance(strengthened, Additive)
        return replace(self, direction=strengthened)

    def change(self, now: Weights, original: Weights) -> Weights:
        """The weights with new lengths of their rows or columns."""
        delta = self.direction.compute_delta()
        others = tuple(axis for axis in range(delta.ndim) if axis != self.axis)
        lengths = np.sqrt(np.square(original.weight + delta, dtype=np.float64).sum(others)) + _TINY
        factors = along((self.magnitudes / lengths).astype(np.float32), self.axis, delta.ndim)
        moved = now.add(delta, self.direction.compute_bias())
        return Weights(factors * moved.weight, moved.bias)


@dataclass(frozen=True)
class Generalised(Change):
    """GLoRA (arXiv 2306.07967): W' = W + s (W A1 A2 + B1 B2), A on the input channels.

    ``a1`` (in, rank), ``a2`` (rank, in), and ``added`` is B's product.
    """

    a1: np.ndarray
    a2: np.ndarray
    added: Additive
    scale: float

    def strengthen(self, factor: float) -> Generalised:
        """The same change with ``factor`` times the effect."""
        strengthened = self.added.strengthen(factor)
        assert isinstance(strengthened, Additive)
        return replace(self, added=strengthened, scale=self.scale * factor)

    def change(self, now: Weights, original: Weights) -> Weights:
        """The weights with both sums."""
        inputs = np.moveaxis(now.weight, 1, -1)  # (out, k, k, in)
        mixed = np.moveaxis(inputs @ self.a1 @ self.a2, -1, 1)
        return now.add(np.float32(self.scale) * mixed + self.added.compute_delta(), self.added.compute_bias())


@dataclass(frozen=True)
class Rescaled(Change):
    """(IA)3 (arXiv 2205.05638): the outputs (axis 0) or inputs (axis 1) of a layer times 1 + strength ``excess``.

    ``excess`` is (out,) or (in,). ``with_bias``: outputs' factors are the bias's too, as in peft; LyCORIS leaves it.
    """

    excess: np.ndarray
    axis: int
    with_bias: bool
    strength: float = 1.0

    def strengthen(self, factor: float) -> Rescaled:
        """The same change with ``factor`` times the effect."""
        return replace(self, strength=self.strength * factor)

    def change(self, now: Weights, original: Weights) -> Weights:
        """The weights times the factors."""
        factors = 1 + np.float32(self.strength) * self.excess
        bias = now.bias * factors if self.with_bias and now.bias is not None else now.bias
        return Weights(now.weight * along(factors, self.axis, now.weight.ndim), bias)


def along(values: np.ndarray, axis: int, dimensions: int) -> np.ndarray:
    """Values (n,) in the shape that stretches over one axis of an array of so many dimensions."""
    return values.reshape([-1 if place == axis else 1 for place in range(dimensions)])
