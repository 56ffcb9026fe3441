"""What the matrices of a LoRA are before the first update."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def draw_down(initial: str, shape: Sequence[int], generator: Any) -> np.ndarray:
    """A start of A, (rank, in) or (rank, in, k, k) in fp32: "gaussian", or "kaiming", PyTorch's start of a layer.

    ``generator`` is NumPy's, of either kind. B starts at zero, so that nothing is changed yet (arXiv 2106.09685, 4.1).
    """
    if initial == "gaussian":  # as diffusers' scripts ask of peft
        return np.asarray(generator.standard_normal(shape) / shape[0], np.float32)
    # peft's own default: Kaiming's uniform with a = sqrt(5), as PyTorch starts a linear layer
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    return np.asarray(generator.uniform(-bound, bound, shape), np.float32)
