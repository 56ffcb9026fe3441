"""safetensors files, written one tensor at a time and the same bytes each time.

The library's own writer holds every tensor twice, and writes several entries of metadata in another order each time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, Optional, Union

import numpy as np

from jstyle.weights.header import DTYPES

_CODES = {np.dtype(dtype): code for code, dtype in DTYPES.items()}


def write(
    stream: BinaryIO,
    shapes: Mapping[str, Sequence[int]],
    read: Callable[[str], np.ndarray],
    dtype: Union[str, Mapping[str, Any]] = "float32",
    metadata: Optional[Mapping[str, str]] = None,
) -> None:
    """Write tensors of these shapes, all of one ``dtype`` or each of its own, in this order.

    ``read`` gives each when its turn comes. The format: https://github.com/huggingface/safetensors#format. Raises
    OSError where writing fails.
    """
    kinds = {name: np.dtype(dtype if isinstance(dtype, str) else dtype[name]).newbyteorder("<") for name in shapes}
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + kinds[name].itemsize * math.prod(shape)
        header[name] = {"dtype": _CODES[kinds[name]], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    stream.write(len(text).to_bytes(8, "little") + text)
    for name in shapes:
        stream.write(np.ascontiguousarray(read(name).astype(kinds[name], copy=False)).view(np.uint8).data)
