"""What a file holds of one layer's change: arrays by their role, checked against the layer before they are read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from jstyle.adapters.lora_config import LoraConfig
from jstyle.errors import InputError
from jstyle.weights.tensors import Tensors, read_numbers

_LARGEST_SCALE = 1e9


@dataclass(frozen=True)
class StoredLayer:
    """One layer's arrays in a file.

    ``keys`` are theirs by role, ``shape`` is that of the layer's weight, ``base`` the layer itself, and ``names`` are
    those under which the configuration may know it.
    """

    tensors: Tensors
    keys: Mapping[str, str]
    base: Any
    config: LoraConfig
    names: Sequence[str]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the layer's weight: (out, in), (out, in, k, k), or (channels,) of a norm."""
        return tuple(self.base.weight.shape)

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        return self.shape[0]

    @property
    def inputs(self) -> int:
        """The number of inputs that an output is a sum over: a kernel's places count."""
        return math.prod(self.shape[1:])

    def __contains__(self, role: str) -> bool:
        return role in self.keys

    def shape_of(self, role: str, dimensions: int) -> tuple[int, ...]:
        """The shape of an array that must have so many dimensions. Raises InputError for fewer, and for one of 0."""
        shape = self.tensors.shapes()[self.keys[role]]
        if len(shape) < dimensions:
            raise InputError(
                f"{self.keys[role]} is {list(shape)}, which wants {dimensions} sides; fetch the file again"
            )
        if 0 in shape:
            raise InputError(f"{self.keys[role]} is {list(shape)}, of rank 0, which changes nothing; save it again")
        return shape

    def read(self, role: str, *shape: int) -> np.ndarray:
        """An array in fp32, in this shape; sides of 1 at its end may be there or not.

        Raises InputError, before it is read, where it does not fit, and where it is not numbers.
        """
        stored = self.tensors.shapes()[self.keys[role]]
        if math.prod(stored) != math.prod(shape) or (len(stored) > 1 and stored[0] != shape[0]):
            raise InputError(
                f"{self.keys[role]} is {list(stored)}, where the layer's {list(self.shape)} wants {list(shape)}; "
                "it is for another model"
            )
        return read_numbers(self.tensors, self.keys[role]).reshape(shape)

    def read_flat(self, role: str, count: int) -> np.ndarray:
        """An array of so many numbers along one side, (count,), in fp32. Raises InputError as ``read``."""
        stored = self.tensors.shapes()[self.keys[role]]
        if stored == () or math.prod(stored) != count or max(stored) != count:
            raise InputError(
                f"{self.keys[role]} is {list(stored)}, where the layer's {list(self.shape)} wants {count} numbers; "
                "it is for another model"
            )
        return read_numbers(self.tensors, self.keys[role]).reshape(count)

    def read_number(self, role: str) -> float:
        """A single number, whole or not, which may not be finite. Raises InputError for more than one."""
        key = self.keys[role]
        shape = self.tensors.shapes()[key]
        if math.prod(shape) != 1:
            raise InputError(f"{key} is {list(shape)}, not one number; fetch the file again")
        return float(self.tensors.read(key).reshape(()))

    def find_alpha(self, rank: int) -> float:
        """The file's alpha or the configuration's, so that alpha / rank is the factor; without either it is the rank.

        Raises InputError for what no training gives, and for another rank than the configuration says.
        """
        alpha = self.read_number("alpha") if "alpha" in self else self.config.find_alpha(self.names, rank)
        if not abs(alpha) <= _LARGEST_SCALE * rank:
            raise InputError(f"{self.names[0]} has the alpha {alpha:g}, which no training gives; fetch the file again")
        return alpha

    def find_scale(self, rank: Optional[int]) -> float:
        """The factor alpha / rank. Where no array tells the rank, it is peft's configuration's, or the factor is 1."""
        if rank is None:
            rank = None if "alpha" in self else self.config.find_rank(self.names)
        return 1.0 if rank is None else self.find_alpha(rank) / rank
