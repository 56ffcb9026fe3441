"""safetensors files <-> the parameters of a module. Nothing is missing, left over or mis-shaped unnoticed."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Callable, Dict, Iterable, Mapping, Optional, Protocol, Sequence, Tuple

import ml_dtypes  # noqa: F401  (teaches NumPy bfloat16, which safetensors then reads)
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from jstyle import ops
from jstyle.errors import InputError
from jstyle.files import replacing
from jstyle.runtime import jt
from jstyle.weights import streamed

Rename = Callable[[str], str]

# Buffers that old checkpoints carry although they follow from the configuration.
IGNORED_KEYS = frozenset({"text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"})

# Jittor keeps memory that was freed; what reading and casting a parameter of this many bytes left is given back.
RELEASED = 1 << 22

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


def load(
    module: jt.Module,
    tensors: Tensors,
    what: str,
    rename: Rename = str,
    dtype: str = "float32",
    *,
    described_by: str = "its config.json",
) -> None:
    """Fill every parameter of ``module`` from ``tensors``, one at a time, in ``dtype``.

    ``rename`` maps a stored name to a parameter's. Raises InputError, before anything is changed, that
    names the missing, unexpected and mis-shaped keys; ``what`` says which network they belong to.
    """
    parameters = dict(module.named_parameters())
    stored = {rename(name): (name, shape) for name, shape in tensors.shapes().items()}
    for key in IGNORED_KEYS - set(parameters):
        stored.pop(key, None)
    _check(parameters, stored, what, described_by)
    for key, parameter in parameters.items():
        array = tensors.read(stored[key][0]).reshape(tuple(parameter.shape))
        with jt.no_grad():  # or what a parameter is cast from would stay beside it
            value = ops.cast(jt.array(np.ascontiguousarray(array, dtype=np.float32)), dtype)
        parameter.assign(value)
        parameter.sync()
        parameter.start_grad()
        if array.nbytes > RELEASED:
            jt.gc()


def _check(
    parameters: Mapping[str, jt.Var], stored: Mapping[str, Tuple[str, Tuple[int, ...]]], what: str, described_by: str
) -> None:
    missing = sorted(set(parameters) - set(stored))
    unexpected = sorted(stored[key][0] for key in set(stored) - set(parameters))
    shapes = [
        f"{stored[key][0]} is {list(stored[key][1])} but should be {list(parameter.shape)}"
        for key, parameter in sorted(parameters.items())
        if key in stored and not _same_shape(stored[key][1], tuple(parameter.shape))
    ]
    problems = [
        f"{len(keys)} {kind} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for kind, keys in (("missing", missing), ("unexpected", unexpected), ("of the wrong shape", shapes))
        if keys
    ]
    if problems:
        raise InputError(f"the {what} weights do not fit {described_by}: keys {'; '.join(problems)}")


def _same_shape(stored: Tuple[int, ...], wanted: Tuple[int, ...]) -> bool:
    """A linear map stored as a 1x1 convolution, as in old VAE files, is the same numbers in the same order."""
    return stored == wanted or (len(stored) == 4 and len(wanted) == 2 and stored == (*wanted, 1, 1))


def rename_vae(name: str) -> str:
    """diffusers' old names of the VAE's attention to the current ones."""
    return _OLD_VAE_KEY.sub(lambda match: f"{match[1]}.{_OLD_VAE_NAMES[match[2]]}.", name)


def rename_text(name: str) -> str:
    """transformers 5 saves the text encoder without the prefix that every earlier file has."""
    return name if name.startswith("text_model.") else f"text_model.{name}"


def save(module: jt.Module, file: Path, dtype: str = "float32") -> None:
    """Write every parameter, under its own name, to a safetensors file that appears only when it is whole.

    One after another, because a model that has just been trained leaves no room for a copy of it. Raises InputError
    when it cannot be written.
    """
    parameters = dict(module.named_parameters())
    shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}

    def read(name: str) -> np.ndarray:
        return ops.cast(parameters[name], "float32").numpy()

    with replacing(file) as part, open(part, "wb") as stream:
        streamed.write(stream, shapes, read, dtype, {"format": "pt"})


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


def fingerprint(files: Iterable[Path]) -> str:
    """SHA-256 over the content of the files in the order given, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as stream:
            for block in iter(lambda: stream.read(1 << 24), b""):
                digest.update(block)
    return digest.hexdigest()
