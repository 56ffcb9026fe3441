"""Files of every kind of adapter in which something is wrong: one line that names it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from jstyle.adapters import lora_files
from jstyle.errors import InputError
from jstyle.weights.tensors import ArrayTensors, write_tensors
from tests.parity.networks import build

LINEAR = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"  # (64, 64)
CONV = "lora_unet_mid_block_resnets_0_conv1"  # (64, 64, 3, 3)
NORM = "lora_unet_mid_block_resnets_0_norm1"  # (64,)
PEFT = "base_model.model.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
PEFT_CONV = "base_model.model.mid_block.resnets.0.conv1"
ALPHA = {"alpha": ()}
LORA = {"lora_down.weight": (2, 64), "lora_up.weight": (64, 2)}
LOHA = {"hada_w1_a": (64, 2), "hada_w1_b": (2, 64), "hada_w2_a": (64, 2), "hada_w2_b": (2, 64), **ALPHA}
LOKR = {"lokr_w1": (4, 4), "lokr_w2_a": (16, 2), "lokr_w2_b": (2, 16), **ALPHA}
GLORA = {"a1.weight": (64, 2), "a2.weight": (2, 64), "b1.weight": (64, 2), "b2.weight": (2, 64), **ALPHA}
Shapes = dict[str, Any]
"""The shape, or the array itself, of each of a layer's arrays; None takes one out."""


@pytest.fixture(scope="module")
def networks() -> tuple[Any, Any]:
    return build("sd1", "unet"), build("sd1", "text")


def fill(layer: str, shapes: Shapes) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal(shape) if isinstance(shape, tuple) else shape for name, shape in shapes.items()}
    return {f"{layer}.{name}": np.asarray(array, None) for name, array in arrays.items() if array is not None}


@pytest.mark.parametrize(
    ("layer", "shapes", "said"),
    [
        (
            LINEAR,
            {**LOHA, "hada_w1_a": (32, 2)},
            r"hada_w1_a is \[32, 2\], where the layer's \[64, 64\] wants \[64, 2\]",
        ),
        (LINEAR, {**LOHA, "hada_w2_b": (3, 64)}, r"hada_w2_a is \[64, 2\], where the layer's .* wants \[64, 3\]"),
        (LINEAR, {**LOHA, "hada_w2_b": None}, "lacks hada_w2_b of LoHa"),
        (LINEAR, {**LOHA, "hada_w1_b": (2,)}, r"hada_w1_b is \[2\], which wants 2 sides"),
        (LINEAR, {**LOHA, "hada_w1_b": (0, 64)}, r"hada_w1_b is \[0, 64\], of rank 0"),
        (LINEAR, {**LOHA, "hada_w1_b": np.full((2, 64), np.inf)}, "hada_w1_b holds numbers that are not finite"),
        (LINEAR, {**LOHA, "hada_w1_b": np.ones((2, 64), np.int8)}, "hada_w1_b is stored as int8"),
        (LINEAR, {**LOHA, "alpha": (2,)}, r"alpha is \[2\], not one number"),
        (LINEAR, {**LOHA, "alpha": np.float32("nan")}, "has the alpha nan, which no training gives"),
        (LINEAR, {**LOHA, "hada_t1": (2, 2, 3, 3)}, "lacks hada_t2 of LoHa"),
        (LINEAR, {**LOHA, **LORA}, "has lora.* beside|has .*down.* beside LoHa|has .*hada.* beside LoRA"),
        (
            LINEAR,
            {**LOKR, "lokr_w1": (5, 4)},
            r"lokr_w1 of .* is \[5, 4\], which does not divide the layer's \[64, 64\]",
        ),
        (LINEAR, {**LOKR, "lokr_w2_a": (15, 2)}, r"lokr_w2_a is \[15, 2\], where the layer's .* wants \[16, 2\]"),
        (LINEAR, {"lokr_w1": (4, 4)}, "lacks lokr_w2 of LoKr"),
        (LINEAR, {**LOKR, "lokr_w2": (16, 16)}, "beside LoKr"),
        (LINEAR, {**GLORA, "b2.weight": (2, 63)}, r"b2.weight is \[2, 63\], where the layer's .* wants \[2, 64\]"),
        (LINEAR, {**GLORA, "a2.weight": None}, "lacks a2 of GLoRA"),
        (LINEAR, {"diff": (64, 63)}, r"diff is \[64, 63\], where the layer's \[64, 64\] wants \[64, 64\]"),
        (LINEAR, {**LORA, "diff_b": (32,)}, r"diff_b is \[32\], where the layer's .* wants \[64\]"),
        (LINEAR, {**LORA, "dora_scale": (32, 1)}, r"dora_scale is \[32, 1\], where the layer's .* wants 64 numbers"),
        (LINEAR, {"dora_scale": (64, 1)}, "dora_scale alone is no adapter"),
        (
            LINEAR,
            {**LORA, "lora_mid.weight": (2, 2, 3, 3)},
            r"lora_mid.weight is \[2, 2, 3, 3\], where .* wants \[2, 2\]",
        ),
        (CONV, {**LORA, "lora_mid.weight": (2, 2)}, r"lora_mid.weight is \[2, 2\], which wants 4 sides"),
        (LINEAR, {"w_norm": (64,)}, "to_q cannot be changed by differences of a norm"),
        (NORM, LORA, "norm1 cannot be changed by LoRA: the file is for another model"),
        (NORM, {"w_norm": (32,), "b_norm": (32,)}, r"w_norm is \[32\], where the layer's \[64\] wants \[64\]"),
        (NORM, {"b_norm": (64,)}, "b_norm alone is no adapter"),
        (
            LINEAR,
            {"oft_blocks": (4, 15, 15)},
            r"oft_blocks is \[4, 15, 15\], which does not turn the layer's 64 outputs",
        ),
        (LINEAR, {"oft_blocks": (4, 16, 16), "alpha": np.float32("inf")}, "alpha is not finite"),
        (LINEAR, {"oft_blocks": (4, 16, 8)}, "which does not turn the layer's 64 outputs"),
        (LINEAR, {"oft_blocks": (4, 16)}, r"oft_blocks is \[4, 16\], which wants 3 sides"),
        (LINEAR, {"oft_blocks": (9, 16, 4, 4)}, "has 9 stages of blocks of 4"),
        (LINEAR, {"oft_R.weight": (8, 27)}, r"oft_R.weight is \[8, 27\], which does not turn the layer's 64 inputs"),
        (LINEAR, {"oft_R.weight": (7, 28)}, r"oft_R.weight is \[7, 28\], which does not turn the layer's 64 inputs"),
        (LINEAR, {"weight": (64,)}, "weight alone is no adapter; is it the file of a whole model"),
        (LINEAR, {"weight": (64,), "on_input": np.int64(2)}, "on_input is 2, neither 0 nor 1"),
        (
            LINEAR,
            {"weight": (48,), "on_input": np.int64(0)},
            r"weight is \[48\], where the layer's .* wants 64 numbers",
        ),
        (
            LINEAR,
            {"weight": (8, 8), "on_input": np.int64(0)},
            r"weight is \[8, 8\], where the layer's .* wants 64 numbers",
        ),
    ],
)
def test_what_a_file_has_wrong_is_named(networks: Any, tmp_path: Any, layer: str, shapes: Shapes, said: str) -> None:
    write_tensors(
        {key: np.ascontiguousarray(array) for key, array in fill(layer, shapes).items()}, tmp_path / "a.safetensors"
    )
    with pytest.raises(InputError, match=said) as caught:
        lora_files.read(tmp_path, *networks)
    assert str(caught.value).startswith(f"{tmp_path}/a.safetensors: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "shapes", "config", "said"),
    [
        (
            PEFT,
            {"hada_w1_a": (64, 2)},
            {"peft_type": "VERA"},
            "its kind is 'VERA'; only LORA, LOHA, LOKR, OFT, BOFT, IA3",
        ),
        (PEFT, {"oft_R.weight": (8, 28)}, {"peft_type": "OFT", "num_cayley_neumann_terms": 1000}, "from 1 to 100"),
        (PEFT, {"ia3_l": (64, 1)}, {"peft_type": ["IA3"]}, "its kind is"),
        (
            PEFT,
            {"oft_R.weight": (8, 28)},
            {"peft_type": "OFT", "coft": True, "eps": 0},
            "eps .* is 0; it must be above 0",
        ),
        (PEFT, {"oft_R.weight": (8, 28)}, {"peft_type": "OFT", "coft": 1}, "coft in its configuration is 1"),
        (
            PEFT,
            {"oft_R.weight": (8, 28)},
            {"peft_type": "OFT", "coft": True, "eps": "x"},
            "eps in its configuration is 'x'",
        ),
        (PEFT_CONV, {"oft_R.weight": (72, 28)}, {"peft_type": "OFT"}, "conv1 is a convolution over several pixels"),
        (PEFT, {"boft_R": (1, 16, 4, 4)}, {"peft_type": "BOFT"}, "lacks boft_s of BOFT"),
        (
            PEFT,
            {"boft_R": (1, 15, 4, 4), "boft_s": (64, 1)},
            {"peft_type": "BOFT"},
            "does not turn the layer's 64 inputs",
        ),
        (PEFT, {"boft_R": (3, 4, 16), "boft_s": (64, 1)}, {"peft_type": "BOFT"}, "which wants 4 sides"),
        (
            PEFT,
            {"boft_R": (6, 16, 4, 4), "boft_s": (64, 1)},
            {"peft_type": "BOFT"},
            "does not turn the layer's 64 inputs",
        ),
        (PEFT, {"ia3_l": (63, 1)}, {"peft_type": "IA3"}, r"ia3_l is \[63, 1\], where the layer's .* wants 64 numbers"),
        (
            PEFT_CONV,
            {"ia3_l": (1, 64, 1, 1)},
            {"peft_type": "IA3", "feedforward_modules": ".*"},
            "is a pattern; write a list",
        ),
        (PEFT, {"ia3_l": (64, 1)}, {"peft_type": "IA3", "feedforward_modules": [3]}, "it must be a list of names"),
        (PEFT, {"lokr_w1": (4, 4), "lokr_w2": (16, 16)}, {"peft_type": "LOKR", "r": 0}, "r in its configuration is 0"),
        (PEFT, {"hada_w1_a.a": (64, 2), "hada_w1_a.b": (64, 2)}, {"peft_type": "LOHA"}, "it holds several adapters"),
    ],
)
def test_what_a_folder_of_pefts_has_wrong_is_named(
    networks: Any, tmp_path: Any, layer: str, shapes: Shapes, config: dict[str, Any], said: str
) -> None:
    write_tensors(fill(layer, shapes), tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=said) as caught:
        lora_files.read(tmp_path, *networks)
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_is_not_read(networks: Any, tmp_path: Any) -> None:
    """Whatever an array's shape, no more is read than a layer of the model has."""

    class Watched(ArrayTensors):
        def read(self, name: str) -> np.ndarray:
            raise AssertionError(f"{name} was read")

    watched = Watched(fill(LINEAR, {"diff": (64, 6400)}))
    with pytest.raises(InputError, match="it is for another model"):
        lora_files.parse(watched, *networks)
