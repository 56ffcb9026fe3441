"""Other libraries' names of what the UNet computes in."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from jstyle import StableDiffusionPipeline
from jstyle.errors import InputError
from jstyle.ops.precision import find_precision
from jstyle.settings.model import ModelSettings


class Torch:
    """Written as ``torch.dtype`` writes itself."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"torch.{self._name}"


@pytest.mark.parametrize(
    ("dtype", "precision"),
    [
        ("float16", "fp16"), ("bfloat16", "bf16"), ("float32", "fp32"), ("torch.float16", "fp16"), (np.float32, "fp32"),
        (np.dtype("float16"), "fp16"), (ml_dtypes.bfloat16, "bf16"), (Torch("bfloat16"), "bf16"),
    ],
)  # fmt: skip
def test_a_dtype_names_a_precision(dtype: Any, precision: str) -> None:
    assert find_precision(dtype) == precision


@pytest.mark.parametrize("dtype", ["float64", "auto", np.int8, Torch("float8_e4m3fn"), 16, ""])
def test_another_dtype_is_named(dtype: Any) -> None:
    with pytest.raises(InputError, match="is not known, only float32, bfloat16, float16"):
        find_precision(dtype)


@pytest.mark.parametrize("name", ["torch_dtype", "dtype"])
def test_a_pipeline_obeys_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(model: ModelSettings) -> Any:
        asked.append(model.precision)
        raise InputError("enough")

    monkeypatch.setattr("jstyle.weights.backends.load", load)
    for dtype in (Torch("bfloat16"), None, "float16"):
        with pytest.raises(InputError, match="enough"):
            StableDiffusionPipeline.from_pretrained("tiny", **{name: dtype})
    assert asked == ["bf16", "fp32", "fp16"]
