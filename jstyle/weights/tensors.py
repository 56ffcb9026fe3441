"""safetensors files as named arrays: read one by one, written whole or not at all. Free of Jittor."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Optional, Protocol

import numpy as np

from jstyle.errors import InputError
from jstyle.files import replacing
from jstyle.weights.header import StoredTensor, read_header
from jstyle.weights.streamed import write

Rename = Callable[[str], str]

# diffusers' names of the layers in the VAE's attention before version 0.18, and those since.
_OLD_VAE_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLD_VAE_KEY = re.compile(r"(mid_block\.attentions\.0)\.(query|key|value|proj_attn)\.")


class Tensors(Protocol):
    """Named arrays whose shapes are known before they are read."""

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each array, by name."""
        ...

    def read(self, name: str) -> np.ndarray:
        """The array of that name, in the dtype in which it is stored."""
        ...


class ArrayTensors:
    """Tensors that are in memory already."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = arrays

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each array, by name."""
        return {name: tuple(array.shape) for name, array in self._arrays.items()}

    def read(self, name: str) -> np.ndarray:
        """The array itself, not a copy."""
        return self._arrays[name]


class FileTensors:
    """The tensors of one safetensors file, or of the shards of one model; a file is open only while one is read.

    Raises InputError for a damaged file, for a pickle, and for a name that is in two shards.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._places: dict[str, tuple[Path, StoredTensor]] = {}
        self.metadata: dict[str, str] = {}
        """What the files say beside their tensors."""
        for file in files:
            header = read_header(file)
            self.metadata.update(header.metadata)
            for name, tensor in header.tensors.items():
                if name in self._places:
                    other = self._places[name][0].name
                    raise InputError(f"{name} is in {other} and in {file.name}; fetch the model again")
                self._places[name] = (file, tensor)

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each tensor, by name."""
        return {name: tensor.shape for name, (_, tensor) in self._places.items()}

    def read(self, name: str) -> np.ndarray:
        """A copy of the tensor of that name, in the dtype in which it is stored. Raises InputError for a lost file."""
        # Read and not mapped: a mapping keeps in memory every page that was read, beside the copy.
        file, tensor = self._places[name]
        try:
            with open(file, "rb") as stream:
                stream.seek(tensor.start)
                stored = np.fromfile(stream, np.uint8, tensor.size)
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error.strerror}); fetch it again") from error
        if stored.size != tensor.size:
            raise InputError(f"{file} has become shorter while it was read; fetch it again")
        return stored.view(tensor.dtype).reshape(tensor.shape)


def read_numbers(tensors: Tensors, name: str) -> np.ndarray:
    """The array of that name in fp32. Raises InputError for whole numbers, and where one is not finite."""
    return to_numbers(tensors.read(name), name, "what was trained has diverged; take an earlier one")


def to_numbers(array: np.ndarray, name: str, advice: str) -> np.ndarray:
    """An array of weights in fp32. Raises InputError, which ends with ``advice``, as `read_numbers` does."""
    if array.dtype.kind in "biu":
        raise InputError(f"{name} is stored as {array.dtype}, which weights are not; fetch the file again")
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.ascontiguousarray(array, np.float32)
        # the sum is one pass without a copy, and finite in all but a few cases that are then looked at closely
        is_finite = bool(np.isfinite(numbers.sum())) or bool(np.isfinite(numbers).all())
    if not is_finite:
        raise InputError(f"{name} holds numbers that are not finite: {advice}")
    return numbers


def rename_vae(name: str) -> str:
    """The current name of a VAE's tensor, from the current one or diffusers' old one."""
    return _OLD_VAE_KEY.sub(lambda match: f"{match[1]}.{_OLD_VAE_NAMES[match[2]]}.", name)


def rename_text(name: str) -> str:
    """The name with the prefix that transformers 5, unlike every earlier version, leaves out of text encoders."""
    return name if name.startswith(("text_model.", "text_projection.")) else f"text_model.{name}"


def write_tensors(arrays: Mapping[str, np.ndarray], file: Path, metadata: Optional[Mapping[str, str]] = None) -> None:
    """Write a safetensors file whole or not at all: the same bytes for the same content. Each array has its own dtype.

    ``metadata`` is by default that the format is "pt", which some readers ask for. Raises InputError when it cannot be
    written.
    """
    header = {"format": "pt"} if metadata is None else metadata
    in_order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))  # so that each is aligned
    shapes = {name: arrays[name].shape for name in in_order}
    dtypes = {name: arrays[name].dtype for name in in_order}
    with replacing(file) as part, open(part, "wb") as stream:
        write(stream, shapes, lambda name: arrays[name], dtypes, header)
