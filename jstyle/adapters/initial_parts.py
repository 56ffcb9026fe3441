"""LoRA that began with a part of the base weight, which its training took out of that weight: W - s B0 A0 + s B A.

PiSSA (arXiv 2404.02948) begins with the largest singular values of W, OLoRA (arXiv 2406.01775) with the first columns
of its QR decomposition. Both products follow from W and the rank alone, so the file holds B and A only. As a plain LoRA
on the whole W this is [B, -B0] [A; A0], of twice the rank; peft converts so, too (``LoraModel.subtract_mutated_init``).
"""

from __future__ import annotations

import numpy as np


def subtract_initial_part(
    start: str, weight: np.ndarray, down: np.ndarray, up: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """The matrices of the plain LoRA: down (2 rank, in) and up (out, 2 rank), to be multiplied by the same ``scale``.

    ``start`` is "pissa" or "olora", ``weight`` (out, in) the base layer's. Where the layer is narrower than the rank,
    the part is the whole weight, and the ranks add up to less.
    """
    rank = len(down)
    if start == "pissa":
        left, values, right = np.linalg.svd(weight.astype(np.float32), full_matrices=False)
        root = np.sqrt(values[:rank])
        first_up, first_down = left[:, :rank] * root / np.float32(scale), root[:, None] * right[:rank]
    else:
        left, right = np.linalg.qr(weight.astype(np.float32))
        first_up, first_down = left[:, :rank], right[:rank]
    return np.concatenate([down, first_down]), np.concatenate([up, -first_up], axis=1)
