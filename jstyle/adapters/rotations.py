"""OFT (arXiv 2306.07280) and BOFT (arXiv 2311.06243): the channels of a weight turned by small orthogonal matrices.

BOFT turns them several times, each time in other groups. LyCORIS and sd-scripts turn a layer's outputs, peft and
OneTrainer its inputs; a convolution's kernel counts among the inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional

import numpy as np

from jstyle.adapters.changes import Change, Weights
from jstyle.adapters.decomposed import along


@dataclass(frozen=True)
class Turn:
    """The channels in ``order`` (n,), then each block of b of them multiplied by its matrix (n / b, b, b)."""

    matrices: np.ndarray
    order: Optional[np.ndarray] = None

    def apply(self, channels: np.ndarray, strength: float) -> np.ndarray:
        """(n, m) -> (n, m), with the matrices ``strength`` of the way from the identity."""
        blocks, size, _ = self.matrices.shape
        matrices = np.float32(strength) * self.matrices + np.float32(1 - strength) * np.eye(size, dtype=np.float32)
        order = np.arange(len(channels)) if self.order is None else self.order
        turned = np.empty_like(channels)
        turned[order] = (matrices @ channels[order].reshape(blocks, size, -1)).reshape(channels.shape)
        return turned


@dataclass(frozen=True)
class Rotated(Change):
    """A weight whose outputs (axis 0) or inputs (axis 1) take these turns; then output i counts 1 + ``excess``[i]."""

    turns: tuple[Turn, ...]
    axis: int
    excess: Optional[np.ndarray] = None
    strength: float = 1.0

    def strengthen(self, factor: float) -> Rotated:
        """The same change, ``factor`` times as far from the identity, along a straight line, as in LyCORIS."""
        return replace(self, strength=self.strength * factor)

    def change(self, now: Weights, original: Weights) -> Weights:
        """The turned weights."""
        flat = now.weight.reshape(len(now.weight), -1)
        channels = flat if self.axis == 0 else flat.T
        for turn in self.turns:
            channels = turn.apply(channels, self.strength)
        weight = (channels if self.axis == 0 else channels.T).reshape(now.weight.shape)
        if self.excess is not None:
            weight = weight * along(1 + np.float32(self.strength) * self.excess, 0, weight.ndim)
        return Weights(np.ascontiguousarray(weight), now.bias)


def turn_by_cayley(skew: np.ndarray) -> np.ndarray:
    """Cayley's orthogonal matrices (I + Q)(I - Q)^-1 of skew-symmetric ones (..., b, b), in fp32."""
    exact, unit = skew.astype(np.float64), np.eye(skew.shape[-1])
    return ((unit + exact) @ np.linalg.inv(unit - exact)).astype(np.float32)


def turn_by_series(skew: np.ndarray, terms: int) -> np.ndarray:
    """What peft computes in Cayley's place: I + 2 Q + 2 Q^2 + ..., of so many terms, the last of them once."""
    total = np.eye(skew.shape[-1]) + np.zeros(skew.shape)
    if terms > 1:
        total += 2 * skew.astype(np.float64)
    if terms > 2:
        last = max(3, terms - 1)
        for power in range(2, last + 1):
            total += (1 if power == last else 2) * np.linalg.matrix_power(skew.astype(np.float64), power)
    return total.astype(np.float32)


def order_butterfly(channels: int, blocks: int, half: int) -> np.ndarray:
    """The order (channels,) of a `Turn` for a stage of peft's BOFT.

    peft puts in place i the channel p(i), where p goes through each of ``blocks`` groups in pieces of ``half``, the
    even ones first, and turns what then stands at p; so this is the inverse of p.
    """
    pieces = np.arange(channels).reshape(blocks, -1, half)
    return np.argsort(np.concatenate([pieces[:, 0::2], pieces[:, 1::2]], axis=1).reshape(-1))


def order_stage(channels: int, stage: int, size: int) -> np.ndarray:
    """The order (channels,) of a `Turn` for a stage of LyCORIS' BOFT: pairs at a distance of 2^stage size / 2."""
    return np.arange(channels).reshape(-1, 2, 2**stage * size // 2).swapaxes(1, 2).reshape(-1)
