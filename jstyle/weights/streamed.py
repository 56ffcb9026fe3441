"""Large safetensors files, written one tensor at a time: the library's own writer holds every tensor twice."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, Optional

import ml_dtypes  # noqa: F401  (teaches NumPy bfloat16)
import numpy as np

_CODES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}


def write(
    stream: BinaryIO,
    shapes: Mapping[str, Sequence[int]],
    read: Callable[[str], np.ndarray],
    dtype: str = "float32",
    metadata: Optional[Mapping[str, str]] = None,
) -> None:
    """Write tensors of these shapes, all of one ``dtype``, in this order; ``read`` gives each when its turn comes.

    The format: https://github.com/huggingface/safetensors#format. Raises OSError where writing fails.
    """
    kind = np.dtype(dtype).newbyteorder("<")
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + kind.itemsize * math.prod(shape)
        header[name] = {"dtype": _CODES[dtype], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    stream.write(len(text).to_bytes(8, "little") + text)
    for name in shapes:
        stream.write(np.ascontiguousarray(read(name).astype(kind, copy=False)).view(np.uint8).data)
