"""safetensors files as named arrays: read when they are asked for, written whole or not at all. Free of Jittor."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Callable, Dict, Mapping, Optional, Protocol, Sequence, Tuple

import ml_dtypes  # noqa: F401  (teaches NumPy bfloat16, which safetensors then reads)
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from jstyle.errors import InputError
from jstyle.files import replacing

Rename = Callable[[str], str]

# How diffusers named the VAE's attention before version 0.18.
_OLD_VAE_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLD_VAE_KEY = re.compile(r"(mid_block\.attentions\.0)\.(query|key|value|proj_attn)\.")


class Tensors(Protocol):
    """Named arrays whose shapes can be asked for without reading them."""

    def shapes(self) -> Mapping[str, Tuple[int, ...]]: ...

    def read(self, name: str) -> np.ndarray: ...


class ArrayTensors:
    """Tensors that are in memory already."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = arrays

    def shapes(self) -> Mapping[str, Tuple[int, ...]]:
        return {name: tuple(array.shape) for name, array in self._arrays.items()}

    def read(self, name: str) -> np.ndarray:
        return self._arrays[name]


class FileTensors:
    """The tensors of one safetensors file, or of the shards of one model, memory-mapped while one is read.

    Raises InputError for a damaged file or a name that two shards hold.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._where: Dict[str, Path] = {}
        self._shapes: Dict[str, Tuple[int, ...]] = {}
        for file in files:
            try:
                with safe_open(file, framework="np") as tensors:
                    shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in list(tensors.keys())}
            except (OSError, SafetensorError) as error:
                raise InputError(f"{file} is not a whole safetensors file ({error}); fetch it again") from None
            for name in shapes:
                if name in self._where:
                    raise InputError(f"{name} is in {self._where[name].name} and in {file.name}; fetch the model again")
                self._where[name] = file
            self._shapes.update(shapes)

    def shapes(self) -> Mapping[str, Tuple[int, ...]]:
        return self._shapes

    def read(self, name: str) -> np.ndarray:
        # Opened for each: a mapping that stays open keeps every page that was read beside its copy.
        with safe_open(self._where[name], framework="np") as tensors:
            return tensors.get_tensor(name)


def rename_vae(name: str) -> str:
    """diffusers' old names of the VAE's attention to the current ones."""
    return _OLD_VAE_KEY.sub(lambda match: f"{match[1]}.{_OLD_VAE_NAMES[match[2]]}.", name)


def rename_text(name: str) -> str:
    """transformers 5 saves the text encoder without the prefix that every earlier file has."""
    return name if name.startswith("text_model.") else f"text_model.{name}"


def write_tensors(arrays: Mapping[str, np.ndarray], file: Path, metadata: Optional[Mapping[str, str]] = None) -> None:
    """Write a safetensors file whole or not at all. Raises InputError when it cannot be written.

    ``metadata`` of one key give the same bytes for the same content; several keys are written in any order.
    """
    told = {"format": "pt"} if metadata is None else dict(metadata)
    with replacing(file) as part:
        part.touch()
        mode = part.stat().st_mode  # what the user's umask gives; the library leaves a file to its owner alone
        try:
            save_file(dict(arrays), part, metadata=told)
            part.chmod(mode)
        except SafetensorError as error:  # a full disk is the library's own kind of error
            raise OSError(str(error)) from error
