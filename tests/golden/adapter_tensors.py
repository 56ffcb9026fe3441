"""The arrays of the recorded adapters, which both the recorder and the tests make from their keys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

try:
    from tests.golden.tiny import seeded_tensor
except ImportError:  # the recorder runs in this folder
    from tiny import seeded_tensor


def adapter_tensor(key: str, shape: Sequence[int]) -> np.ndarray:
    """B is a tenth of what a weight would be: a change of the network that does not drown it."""
    return seeded_tensor(f"lora.{key}", shape) * np.float32(0.1 if "lora_B" in key else 1.0)
