"""The header of a safetensors file, read strictly (https://github.com/huggingface/safetensors#format). Free of Jittor.

Read here and not by the library, whose NumPy side refuses fp8 and has no word for what else a file may be.
"""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import ml_dtypes
import numpy as np

from jstyle.errors import InputError
from jstyle.settings.json_files import parse_json

DTYPES: Mapping[str, Any] = {
    "BOOL": np.bool_, "U8": np.uint8, "I8": np.int8, "U16": np.uint16, "I16": np.int16, "U32": np.uint32,
    "I32": np.int32, "U64": np.uint64, "I64": np.int64, "F16": np.float16, "F32": np.float32, "F64": np.float64,
    "BF16": ml_dtypes.bfloat16, "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz, "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
}  # fmt: skip
"""The types of numbers that are read and written, by their codes in a header."""

_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # torch.save since 1.6, and before
_PICKLE_ENDINGS = (".pt", ".pth", ".bin", ".ckpt", ".pkl")

LARGEST_HEADER = 16 << 20
"""Bytes. The largest that is known has 3 MB; Python's reading of JSON takes up to 25 times as much memory."""

_LONGEST_NAME = 500  # characters; so messages that quote some stay short
_MOST_DIMENSIONS = 16
_MOST_ELEMENTS = 1 << 60


@dataclass(frozen=True)
class StoredTensor:
    """Where an array lies in its file: ``start`` and ``size`` in bytes, from the file's beginning."""

    dtype: np.dtype
    shape: tuple[int, ...]
    start: int
    size: int


@dataclass(frozen=True)
class Header:
    """What a safetensors file says before its numbers; ``metadata`` is free text by key."""

    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str]


def read_header(file: Path) -> Header:
    """The header of a whole safetensors file; nothing else of it is read.

    Takes no more memory than a header of ``LARGEST_HEADER`` bytes needs, whatever the file says. Raises InputError for
    a file that is not there, that is damaged, that has numbers no array can hold, or that is a pickle, with the way to
    convert it.
    """
    start, length = b"", 0
    try:
        with open(file, "rb") as stream:
            total, start = os.fstat(stream.fileno()).st_size, stream.read(8)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or length > total - 8:
                raise ValueError("it ends within its header")
            if length > LARGEST_HEADER:
                raise ValueError(f"its header has {length} bytes, more than {LARGEST_HEADER}")
            return _parse(stream.read(length), 8 + length, total)
    except FileNotFoundError:
        raise InputError(f"there is no file {str(file)!r}: check its path") from None
    except IsADirectoryError:
        raise InputError(f"{str(file)!r} is a folder, and a safetensors file is needed") from None
    except (OSError, ValueError) as error:
        if is_pickle_name(file.name) or (length > LARGEST_HEADER and start.startswith(_PICKLE_STARTS)):
            raise refuse_pickle(file) from None
        if isinstance(error, OSError):
            raise InputError(f"cannot read {str(file)!r}: {error.strerror}") from None
        if file.suffix.lower() not in ("", ".safetensors"):
            raise InputError(f"{file} is no safetensors file, as its name says; weights are read from these") from None
        raise InputError(f"{file} is not a whole safetensors file ({error}); fetch it again") from None


def is_pickle_name(name: str) -> bool:
    """Whether PyTorch's pickles are named so."""
    return name.lower().endswith(_PICKLE_ENDINGS)


def is_pickle(file: Path) -> bool:
    """Whether a file is named as PyTorch's pickles are, or begins so. Raises OSError where it cannot be read."""
    with open(file, "rb") as stream:
        return is_pickle_name(file.name) or stream.read(8).startswith(_PICKLE_STARTS)


def refuse_pickle(file: Path, converted: Optional[Path] = None) -> InputError:
    """The error of a file that is a pickle, with the command that converts it, or what it is a part of."""
    name = shlex.quote(str(converted or file))
    return InputError(
        f"{file} is a pickle, which could run any code and is not read; convert it: jstyle convert {name}"
    )


def require_safe(safe_serialization: bool) -> None:
    """Raise InputError where a pickle is to be written."""
    if not safe_serialization:
        raise InputError("pickles are not written; leave safe_serialization at True")


def _parse(text: bytes, data: int, total: int) -> Header:
    """The header in ``text``; the arrays' bytes fill the file from ``data`` to ``total``. Raises ValueError."""
    content = parse_json(text, "its header")
    if not isinstance(content, dict):
        raise ValueError("its header is no JSON object")
    metadata = content.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its __metadata__ is not text by key")
    tensors = {name: _parse_entry(name, entry, data) for name, entry in content.items()}
    end = data
    for tensor in sorted(tensors.values(), key=lambda tensor: (tensor.start, tensor.size)):
        if tensor.start != end:
            raise ValueError("its arrays overlap, or leave gaps")
        end = tensor.start + tensor.size
    if end != total:
        raise ValueError(f"it has {total} bytes where its header says {end}")
    return Header(tensors, metadata)


def _parse_entry(name: str, entry: Any, data: int) -> StoredTensor:
    """One array's entry. Raises ValueError where it makes no sense."""
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"an array's name has {len(name)} characters")
    try:
        code, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [*shape, begin, end]
    except (TypeError, KeyError, ValueError):
        raise ValueError(f"its entry of {name!r} is no array's") from None
    if not isinstance(shape, list) or not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError(f"its entry of {name!r} is no array's")
    if not isinstance(code, str) or code not in DTYPES:
        raise ValueError(f"{name!r} is stored as {code!r:.20}, which is not read")
    dtype, count = np.dtype(DTYPES[code]), math.prod(shape)
    if len(shape) > _MOST_DIMENSIONS or math.prod(max(side, 1) for side in shape) > _MOST_ELEMENTS:
        raise ValueError(f"{name!r} is of no shape that an array can have")
    if end - begin != count * dtype.itemsize:
        raise ValueError(f"{name!r} has {end - begin} bytes, its shape {count * dtype.itemsize}")
    return StoredTensor(dtype, tuple(shape), data + begin, end - begin)
