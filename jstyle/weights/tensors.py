"""safetensors files as named arrays: read one by one, written whole or not at all. Free of Jittor."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Optional, Protocol

import ml_dtypes  # noqa: F401  (teaches NumPy bfloat16, which safetensors then reads)
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from jstyle.errors import InputError
from jstyle.files import replacing

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
    """The tensors of one safetensors file, or of the shards of one model, which are mapped only while one is read.

    Raises InputError for a damaged file, and for a name that is in two shards.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files: dict[str, Path] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        for file in files:
            try:
                with safe_open(file, framework="np") as tensors:
                    shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in list(tensors.keys())}
            except (OSError, SafetensorError) as error:
                raise InputError(f"{file} is not a whole safetensors file ({error}); fetch it again") from None
            for name in shapes:
                if name in self._files:
                    raise InputError(f"{name} is in {self._files[name].name} and in {file.name}; fetch the model again")
                self._files[name] = file
            self._shapes.update(shapes)

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each tensor, by name."""
        return self._shapes

    def read(self, name: str) -> np.ndarray:
        """A copy of the tensor of that name, in the dtype in which it is stored."""
        # Opened anew each time: a mapping that stays open keeps in memory every page that was read, beside the copy.
        with safe_open(self._files[name], framework="np") as tensors:
            return tensors.get_tensor(name)


def rename_vae(name: str) -> str:
    """The current name of a VAE's tensor, from the current one or diffusers' old one."""
    return _OLD_VAE_KEY.sub(lambda match: f"{match[1]}.{_OLD_VAE_NAMES[match[2]]}.", name)


def rename_text(name: str) -> str:
    """The name with the prefix that transformers 5, unlike every earlier version, leaves out of text encoders."""
    return name if name.startswith("text_model.") else f"text_model.{name}"


def write_tensors(arrays: Mapping[str, np.ndarray], file: Path, metadata: Optional[Mapping[str, str]] = None) -> None:
    """Write a safetensors file whole or not at all. Raises InputError when it cannot be written.

    With ``metadata`` of one key, the same content gives the same bytes; the order of several keys is not fixed.
    """
    header = {"format": "pt"} if metadata is None else dict(metadata)
    with replacing(file) as part:
        part.touch()
        mode = part.stat().st_mode  # as the user's umask has it; the library makes a file that only its owner can read
        try:
            save_file(dict(arrays), part, metadata=header)
            part.chmod(mode)
        except SafetensorError as error:  # which the library raises even for a full disk
            raise OSError(str(error)) from error
