"""Random weights for a network that is trained from nothing."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np

from jstyle.runtime import jt

EMBEDDING = 0.02  # CLIP's deviation (arXiv 2103.00020, section 2.5, and its code)


def initialise(network: jt.Module, seed: int, zero: Sequence[str] = ()) -> None:
    """Give every parameter a start that depends on the seed and its name alone.

    Weights of products are uniform with a deviation of 1 / sqrt(3 inputs), PyTorch's own choice; embeddings normal;
    norms start as the identity and biases at zero. Modules whose name ends in one of ``zero`` start at zero: the last
    layer of a residual branch, so that a network begins as the sum of its skips (arXiv 2105.05233, section 3).
    """
    for name, parameter in network.named_parameters():
        module, _, kind = name.rpartition(".")
        start = np.zeros(tuple(parameter.shape), np.float32)
        if not any(module == end or module.endswith(f".{end}") for end in zero):
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            start = _start(f"{module}.{kind}", start.shape, rng)
        set_values(parameter, start)


def set_values(parameter: jt.Var, values: np.ndarray) -> None:
    """Give a parameter these values, in fp32, and leave it one that is learnt."""
    with jt.no_grad():
        new = jt.array(np.float32(values))
    parameter.assign(new)
    parameter.sync()
    parameter.start_grad()


def _start(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    of_products = ("patch_embedding", "time_embedding", "cond_embedding")
    if "embedding" in name and not any(part in name for part in of_products):
        return np.multiply(EMBEDDING, rng.standard_normal(shape, np.float32), dtype=np.float32)
    if len(shape) == 1:
        return np.full(shape, float(name.endswith("weight")), np.float32)
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    return rng.uniform(-bound, bound, shape).astype(np.float32)
