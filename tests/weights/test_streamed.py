"""Files written a tensor at a time are what the library reads."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes  # noqa: F401  (teaches NumPy bfloat16)
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from jstyle.weights import streamed

ARRAYS = {
    "a.b": np.random.default_rng(0).standard_normal((3, 4, 2)).astype(np.float32),
    "é": np.float32([np.pi]),
    "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "scalar": np.float32(0.1),
    "nothing": np.zeros((0, 3), np.float32),
}
SHAPES = {name: array.shape for name, array in ARRAYS.items()}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_library_reads_them(dtype: str, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    with open(file, "wb") as stream:
        streamed.write(stream, SHAPES, ARRAYS.__getitem__, dtype, {"format": "pt"})
    found = load_file(file)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == dtype and found[name].shape == array.shape
        assert np.array_equal(found[name], array.astype(dtype))
    with safe_open(file, framework="np") as opened:
        assert opened.metadata() == {"format": "pt"}


def test_a_tensor_is_asked_for_when_those_before_it_are_written(tmp_path: Path) -> None:
    file, sizes = tmp_path / "x.safetensors", []

    def read(name: str) -> np.ndarray:
        sizes.append(file.stat().st_size)
        return ARRAYS[name]

    with open(file, "wb", buffering=0) as stream:
        streamed.write(stream, SHAPES, read)
    assert np.diff(sizes).tolist() == [array.nbytes for array in list(ARRAYS.values())[:-1]]
