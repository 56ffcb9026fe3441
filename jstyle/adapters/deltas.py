"""Changes that are added to a weight and follow from a few small arrays: LoHa, LoKr, Tucker's forms, whole differences.

LoHa is arXiv 2108.06098's product of two low-rank matrices, entry by entry; LoKr is a Kronecker product; both, and the
form of Tucker (arXiv 1511.06530) for convolutions, as in LyCORIS (arXiv 2309.14859).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Optional

import numpy as np

from jstyle.adapters.changes import Additive

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Delta(Additive):
    """``scale`` times what ``form`` makes of ``parts``, for a weight of ``shape``; ``bias`` (out,) is scaled too."""

    form: str
    parts: Arrays
    shape: tuple[int, ...]
    scale: float
    bias: Optional[np.ndarray] = None
    bias_scale: float = 1.0

    def strengthen(self, factor: float) -> Delta:
        """The same change with ``factor`` times the effect."""
        return replace(self, scale=self.scale * factor, bias_scale=self.bias_scale * factor)

    def compute_delta(self) -> np.ndarray:
        """What is added to the weight."""
        return np.float32(self.scale) * _FORMS[self.form](self.parts).reshape(self.shape)

    def compute_bias(self) -> Optional[np.ndarray]:
        """What is added to the bias."""
        return None if self.bias is None else np.float32(self.bias_scale) * self.bias


def multiply_through(core: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Tucker's product: core (m, n, k, k), left (out, m), right (n, in) -> (out, in, k, k)."""
    half = (left @ core.reshape(len(core), -1)).reshape(len(left), *core.shape[1:])
    return np.moveaxis(np.tensordot(half, right, axes=(1, 0)), -1, 1)


def _form_product(parts: Arrays) -> np.ndarray:
    if "mid" in parts:
        return multiply_through(parts["mid"], parts["up"], parts["down"])
    return parts["up"] @ parts["down"]


def _form_hadamard(parts: Arrays) -> np.ndarray:
    first, second = (_form_factor(parts, "hada_w1", "hada_t1"), _form_factor(parts, "hada_w2", "hada_t2"))
    return first * second


def _form_kronecker(parts: Arrays) -> np.ndarray:
    first, second = _form_factor(parts, "lokr_w1", ""), _form_factor(parts, "lokr_w2", "lokr_t2")
    product = np.multiply.outer(first, second)  # (a, b, c, d, ...)
    (a, b), (c, d, *kernel) = first.shape, second.shape
    return np.swapaxes(product, 1, 2).reshape(a * c, b * d, *kernel)


def _form_factor(parts: Arrays, name: str, core: str) -> np.ndarray:
    """A factor that is stored whole, as a product of two matrices, or of these with a core between them."""
    if name in parts:
        return parts[name]
    left, right = parts[f"{name}_a"], parts[f"{name}_b"]
    return multiply_through(parts[core], left.T, right) if core in parts else left @ right


def _form_whole(parts: Arrays) -> np.ndarray:
    return parts["diff"]


_FORMS: Mapping[str, Callable[[Arrays], np.ndarray]] = {
    "product": _form_product,
    "hadamard": _form_hadamard,
    "kronecker": _form_kronecker,
    "whole": _form_whole,
}
