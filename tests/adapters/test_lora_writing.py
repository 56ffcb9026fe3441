"""LoRA files out: under whose names, in which precision, with which words about them; the same bytes each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from jstyle.adapters import lora_files, lora_writing
from jstyle.adapters.lora import Lora, LowRank
from jstyle.weights.tensors import ArrayTensors, FileTensors
from tests.golden.adapter_tensors import adapter_tensor
from tests.parity.networks import build, golden

RECORDED = golden("adapters")
SHAPES = json.loads(str(RECORDED["keys"]))
METADATA = json.loads(str(RECORDED["metadata"]))
ABOUT = {"ss_seed": "7", "ss_learning_rate": "0.001"}


@pytest.fixture(scope="module")
def networks() -> tuple[Any, Any]:
    return build("sd2", "unet"), build("sd2", "text")


@pytest.fixture(scope="module")
def lora(networks: Any) -> Lora[LowRank]:
    arrays = {key: adapter_tensor(key, shape) for key, shape in SHAPES.items()}
    found: Any = lora_files.parse(ArrayTensors(arrays), *networks, METADATA)
    return found


def test_kohyas_names_are_those_that_diffusers_gives_them(lora: Lora[LowRank], tmp_path: Path) -> None:
    file = lora_writing.write(lora, tmp_path, "kohya", about=ABOUT)
    stored = FileTensors([file])
    # diffusers writes for SDXL, whose text encoders have numbers
    named = {key.replace("lora_te1_", "lora_te_") for key in json.loads(str(RECORDED["kohya_keys"])).values()}
    alphas = {key for key in stored.shapes() if key.endswith(".alpha")}
    assert set(stored.shapes()) - alphas == named and len(alphas) == len(named) // 2
    assert {float(stored.read(key)) for key in alphas} == {6.0}
    header = {"ss_network_module": "networks.lora", "ss_network_dim": "3", "ss_network_alpha": "6.0"}
    assert stored.metadata == {"format": "pt", **header, **ABOUT}


@pytest.mark.parametrize("format", ["diffusers", "kohya"])
def test_what_is_written_is_read_as_it_was(lora: Lora[LowRank], networks: Any, tmp_path: Path, format: Any) -> None:
    again = lora_files.read(lora_writing.write(lora, tmp_path, format), *networks)
    for component in ("unet", "text_encoder"):
        assert set(again.of(component)) == set(lora.of(component))
        for path, change in lora.of(component).items():
            found: Any = again.of(component)[path]
            assert np.allclose(found.compute_delta(), change.compute_delta(), rtol=1e-6, atol=1e-9)
            if format == "kohya":  # to the bit
                assert b"".join(found.describe()) == b"".join(change.describe())


@pytest.mark.parametrize(("precision", "dtype"), [("fp16", np.float16), ("bf16", ml_dtypes.bfloat16)])
@pytest.mark.parametrize("format", ["diffusers", "kohya"])
def test_half_precision(lora: Any, tmp_path: Path, precision: Any, dtype: Any, format: Any) -> None:
    whole = FileTensors([lora_writing.write(lora, tmp_path / "whole", format)])
    half = FileTensors([lora_writing.write(lora, tmp_path / "half", format, precision)])
    assert whole.shapes() == half.shapes()
    for key in whole.shapes():
        kept = np.float32 if key.endswith(".alpha") else dtype
        assert half.read(key).dtype == kept and np.array_equal(half.read(key), whole.read(key).astype(kept))


@pytest.mark.parametrize("format", ["diffusers", "kohya"])
def test_the_same_lora_is_the_same_bytes(lora: Lora[LowRank], tmp_path: Path, format: Any) -> None:
    turned = Lora(dict(reversed(list(lora.unet.items()))), lora.text_encoder)
    contents = {
        lora_writing.write(each, tmp_path / str(number), format, "fp16", ABOUT).read_bytes()
        for number, each in enumerate((lora, lora, turned))
    }
    assert len(contents) == 1


def test_diffusers_header_says_what_peft_would(lora: Lora[LowRank], networks: Any, tmp_path: Path) -> None:
    """One rank for all but those that a pattern names; scales are 1, and the alpha is the rank."""
    path, change = next(iter(lora.unet.items()))
    mixed = Lora({**lora.unet, path: LowRank(change.down[:2], change.up[:, :2], 4.0)}, {})
    file = lora_writing.write(mixed, tmp_path)
    header = json.loads(FileTensors([file]).metadata["lora_adapter_metadata"])
    assert header == {
        "unet.peft_type": "LORA",
        "unet.r": 3,
        "unet.lora_alpha": 3,
        "unet.rank_pattern": {path: 2},
        "unet.alpha_pattern": {path: 2},
        "unet.target_modules": sorted(lora.unet),
    }
    found: Any = lora_files.read(file, *networks)
    assert {change.scale for change in found.unet.values()} == {1.0}
