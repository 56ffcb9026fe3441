"""The recorded names, shapes and outputs of single files."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import numpy as np

from tests.golden.single_files import KINDS
from tests.parity.networks import golden


@lru_cache(maxsize=None)
def read() -> dict[str, np.ndarray]:
    """All recorded arrays."""
    return golden("single_files")


def list_shapes(family: str, size: str = "tiny") -> dict[str, list[int]]:
    """The names in a file of the family "one" or "two", of "tiny" or "real" size, and their shapes."""
    shapes: list[Any] = json.loads(str(read()[f"{family}_{size}_shapes"]))
    return dict(zip(map(str, read()[f"{family}_names"]), shapes))


def list_names(kind: str) -> dict[str, list[int]]:
    """The same for a kind of `KINDS`, of tiny size."""
    return list_shapes(KINDS[kind][0])


def list_sources(family: str) -> dict[str, tuple[str, int, int]]:
    """Of each parameter, as "unet/NAME", the tensor that diffusers took it from, which part of it, of how many."""
    words = (str(source).split() for source in read()[f"{family}_sources"])
    places = ((name, int(part), int(parts)) for name, part, parts in words)
    return dict(zip(map(str, read()[f"{family}_parameters"]), places))
