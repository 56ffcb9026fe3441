"""The file of a style that InST has learnt: the network's weights, the word's embedding, and what they belong to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Union

import numpy as np

from jstyle.adapters.inst_words import EMBEDDING, FILE, HEADER, damaged, find_file, read_header
from jstyle.errors import InputError
from jstyle.files import make_folder
from jstyle.methods.inst.network import Sizes, StyleAttention
from jstyle.weights.loading import load_weights
from jstyle.weights.tensors import ArrayTensors, FileTensors, write_tensors

_NETWORK = "network."
_LARGEST = 1 << 16  # channels; a size beyond is a damaged file, and would be asked of memory


@dataclass(frozen=True)
class LearntStyle:
    """A learnt style: its ``token``, the ``embedding`` (1, hidden_size), and the ``network`` that made it.

    ``about`` says which picture it was learnt from, with which model and settings.
    """

    token: str
    embedding: np.ndarray
    network: StyleAttention
    about: Mapping[str, Any]


def write(style: LearntStyle, folder: Path) -> Path:
    """Write ``inst.safetensors``, the same bytes for the same style. InputError where it cannot be written."""
    arrays = {EMBEDDING: np.ascontiguousarray(style.embedding, np.float32)}
    for name, parameter in style.network.named_parameters():
        arrays[_NETWORK + name] = np.array(parameter.numpy())
    header = {"token": style.token, "sizes": asdict(style.network.sizes), "about": dict(style.about)}
    make_folder(folder)
    write_tensors(arrays, folder / FILE, {HEADER: json.dumps(header, sort_keys=True)})
    return folder / FILE


def read(source: Union[str, Path]) -> LearntStyle:
    """The style in a safetensors file, or in a folder's ``inst.safetensors``.

    Raises InputError where there is none, and for sizes and arrays that do not fit each other.
    """
    file = find_file(source)
    token, sizes, about = _read_header(file)
    stored = FileTensors([file])
    arrays = {name: stored.read(name) for name in stored.shapes()}
    embedding = arrays.pop(EMBEDDING, None)
    if embedding is None or embedding.shape != (1, sizes.hidden_size):
        shape = "missing" if embedding is None else f"{list(embedding.shape)}, not [1, {sizes.hidden_size}]"
        raise InputError(f"{str(file)!r}: the word's embedding is {shape}; train the style again")
    if not all(np.isfinite(array).all() for array in (embedding, *arrays.values())):
        raise InputError(f"{str(file)!r} holds numbers that are not finite; train the style again")
    network = StyleAttention(sizes)
    described = "the sizes beside them"
    load_weights(network, ArrayTensors(arrays), repr(str(file)), _name_in_network, described_by=described, is_new=True)
    return LearntStyle(token, np.ascontiguousarray(embedding, np.float32), network, about)


def _name_in_network(name: str) -> str:
    return name[len(_NETWORK) :] if name.startswith(_NETWORK) else f"({name})"


def _read_header(file: Path) -> tuple[str, Sizes, dict[str, Any]]:
    """token, sizes and about. InputError where one is missing or makes no sense."""
    header = read_header(file)
    try:
        sizes = Sizes(**{field.name: header["sizes"][field.name] for field in fields(Sizes)})
        for name, size in asdict(sizes).items():
            if type(size) is not int or not 0 < size <= _LARGEST:
                raise ValueError(f"{name} is {size!r}")
        return header["token"], sizes, dict(header["about"])
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(file, error) from None
