"""The arrays of the recorded adapters, which both the recorder and the tests make from their keys."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

try:
    from tests.golden.tiny import seeded_tensor
except ImportError:  # the recorder runs in this folder
    from tiny import seeded_tensor


def adapter_tensor(key: str, shape: Sequence[int]) -> np.ndarray:
    """B is a tenth of what a weight would be: a change of the network that does not drown it."""
    return seeded_tensor(f"lora.{key}", shape) * np.float32(0.1 if "lora_B" in key else 1.0)


def kind_tensor(key: str, shape: Sequence[int]) -> np.ndarray:
    """An array of an adapter of any kind: large enough to show, and small where it is multiplied with others."""
    noise = np.random.default_rng(zlib.crc32(f"kind.{key}".encode())).standard_normal(tuple(shape)).astype(np.float32)
    part = key.rpartition(".")[2] if not key.endswith(".weight") else key.split(".")[-2]
    if part in ("dora_scale", "lora_magnitude_vector", "rescale", "boft_s", "ia3_l"):
        return 1 + np.float32(0.1) * noise
    if (
        part in ("oft_blocks", "oft_R", "boft_R", "w_norm", "b_norm", "diff_b", "bias")
        or len(shape) < 2
        or "ia3" in key
    ):
        return np.float32(0.1) * noise
    if key.endswith(".weight") and "lora" not in part and part not in ("a1", "a2", "b1", "b2"):
        return np.float32(0.1) * noise  # LyCORIS' (IA)3
    return np.float32(0.2 if part == "diff" else 0.4) * noise / np.float32(np.sqrt(np.prod(shape[1:])) ** 0.5)
