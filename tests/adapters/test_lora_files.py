"""How strong a LoRA's layers are, as diffusers and peft have it, whoever wrote the file; and what cannot be is said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from jstyle.adapters import LoraAdapters, lora, lora_files
from jstyle.adapters.block_weights import read_weight
from jstyle.adapters.sources import LORA_FILE
from jstyle.errors import InputError
from jstyle.runtime import jt
from jstyle.weights.tensors import ArrayTensors, write_tensors
from tests.golden.adapter_tensors import adapter_tensor
from tests.parity.networks import build, golden, relative_error

RECORDED = golden("lora_files")
LAYER = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
WIDTH = 64
Networks = tuple[Any, Any]
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def networks() -> Networks:
    return build("sd2", "unet"), build("sd2", "text")


def recorded(key: str) -> Any:
    return json.loads(str(RECORDED[key]))


def recorded_arrays(kind: str) -> Arrays:
    return {key: adapter_tensor(key, shape) for key, shape in recorded(f"{kind}_keys").items()}


def pair(key: str = f"unet.{LAYER}", width: int = WIDTH) -> Arrays:
    rng = np.random.default_rng(width)
    shapes = {"lora_A": (4, width), "lora_B": (width, 4)}
    return {f"{key}.{name}.weight": rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def write(folder: Path, arrays: Mapping[str, np.ndarray], header: Any = None, name: str = LORA_FILE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = header if isinstance(header, str) else json.dumps(header)
    write_tensors(arrays, folder / name, {} if header is None else {"lora_adapter_metadata": text})
    return folder / name


def read_scales(networks: Networks, source: Path) -> dict[str, float]:
    """By component and path; the text encoder's as transformers 5 has them."""
    found = lora_files.read(source, *networks)
    text = {path.replace("text_model.", ""): change.scale for path, change in found.text_encoder.items()}
    scales = {f"unet.{path}": change.scale for path, change in found.unet.items()}
    return {**scales, **{f"text_encoder.{path}": scale for path, scale in text.items()}}


def test_scales_of_a_file_that_diffusers_unet_has_written(networks: Networks, tmp_path: Path) -> None:
    write(tmp_path, recorded_arrays("adapter"), str(RECORDED["adapter_metadata"]))
    wanted = {f"unet.{path}": scale for path, scale in recorded("adapter_scalings").items()}
    assert read_scales(networks, tmp_path) == pytest.approx(wanted, rel=1e-6)
    assert len(set(wanted.values())) > 6


def test_scales_of_a_file_that_diffusers_pipeline_has_written(networks: Networks, tmp_path: Path) -> None:
    write(tmp_path, recorded_arrays("pipeline"), str(RECORDED["pipeline_metadata"]))
    by_component = recorded("pipeline_scalings")
    wanted = {f"{name}.{path}": scale for name, scales in by_component.items() for path, scale in scales.items()}
    assert read_scales(networks, tmp_path) == pytest.approx(wanted, rel=1e-6)
    assert len(set(by_component["text_encoder"].values())) > 2


def test_scales_of_a_folder_of_pefts(networks: Networks, tmp_path: Path) -> None:
    file = write(tmp_path, recorded_arrays("peft"), name="adapter_model.safetensors")
    with pytest.raises(InputError, match=r"alpha is in peft's adapter_config.json, which is missing"):
        lora_files.read(file, *networks)
    (tmp_path / "adapter_config.json").write_text(str(RECORDED["peft_metadata"]))
    wanted = {f"unet.{path}": scale for path, scale in recorded("peft_scalings").items()}
    assert read_scales(networks, tmp_path) == pytest.approx(wanted, rel=1e-6)
    in_memory = {key.replace(".weight", ".default.weight"): array for key, array in recorded_arrays("peft").items()}
    write(tmp_path, in_memory, name="adapter_model.safetensors")
    assert read_scales(networks, tmp_path) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_a_start_from_the_base_weight_is_taken_out_of_it(networks: Networks, tmp_path: Path, start: str) -> None:
    arrays = {key: RECORDED[f"{start}_array_{key}"] for key in recorded(f"{start}_keys")}
    write(tmp_path, arrays, str(RECORDED[f"{start}_metadata"]))
    adapters = LoraAdapters(*networks)
    adapters.load(tmp_path, "a")
    sample, context = (jt.array(RECORDED[f"{start}_{name}"]) for name in ("sample", "context"))
    try:
        with jt.no_grad():
            found = np.array(networks[0](sample, np.array([321]), context).sample.numpy())
            adapters.set("a", 0.0)
            without = np.array(networks[0](sample, np.array([321]), context).sample.numpy())
    finally:
        adapters.unload()
    with jt.no_grad():
        base = np.array(networks[0](sample, np.array([321]), context).sample.numpy())
    assert relative_error(found, RECORDED[f"{start}_out"]) < 1e-5
    assert relative_error(base, RECORDED[f"{start}_out"]) > 0.1
    assert relative_error(without, base) < 1e-6


@pytest.mark.parametrize("number", range(5))
def test_weights_by_block_are_diffusers(networks: Networks, number: int) -> None:
    weights, factors = recorded("blocks")[number]
    weight = read_weight(weights, networks[0].config)
    found = {}
    for key in factors:
        component, _, path = key.partition(".")
        found[key] = weight.find(component, path if component == "unet" else f"text_model.{path}")
    assert found == pytest.approx(factors)


def test_weights_by_block_reach_the_layers(networks: Networks) -> None:
    arrays = {**pair(), **pair("unet.down_blocks.0.attentions.1.transformer_blocks.0.attn1.to_q", 32)}
    adapters, unet = LoraAdapters(*networks), networks[0]
    adapters.load(lora_files.parse(ArrayTensors(arrays), *networks), "a")
    adapters.set("a", {"unet": {"down": {"block_0": [0.25, 0.5]}, "mid": 2.0}})
    first = adapters.fingerprint()
    scales = {path: layer._changes[0].scale for path, layer in lora.layers(unet).items() if hasattr(layer, "_changes")}
    assert list(scales.values()) == [0.5, 2.0]
    adapters.set("a", [{"unet": {"down": {"block_0": [0.25, 0.6]}, "mid": 2.0}}])
    assert adapters.fingerprint() != first
    adapters.unload()


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"unet": {"down": {"block_3": 1.0}}}, "unet.down have no 'block_3'; there are block_0, block_1, block_2"),
        ({"unet": {"middle": 1.0}}, "have no 'middle'; there are down, mid, up"),
        ({"down": 0.5}, "have no 'down'; there are unet, text_encoder"),
        ({"unet": {"up": {"block_1": [1.0, 2.0]}}}, "has 2 numbers for 3 attentions"),
        ({"unet": {"mid": "much"}}, "unet.mid must be a finite number, not 'much'"),
        (float("nan"), "must be a finite number, not nan"),
        (1e38, "the weight of an adapter must be from -10000 to 10000, not 1e.38"),
        ("0.5", "must be a finite number, not '0.5'"),
    ],
)
def test_weights_that_cannot_be_are_named(networks: Networks, weights: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_weight(weights, networks[0].config)


def test_names_that_kohyas_trainer_writes_under_transformers_5(networks: Networks) -> None:
    key = "lora_te_encoder_layers_0_self_attn_q_proj"
    arrays = {
        f"{key}.lora_down.weight": np.ones((2, 48), np.float32),
        f"{key}.lora_up.weight": np.ones((48, 2), np.float32),
    }
    arrays[f"{key}.alpha"] = np.array(1, np.int64)
    found = lora_files.parse(ArrayTensors(arrays), *networks)
    assert {path: change.scale for path, change in found.text_encoder.items()} == {
        "text_model.encoder.layers.0.self_attn.q_proj": 0.5
    }


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("{", "its configuration is not JSON"),
        ("[" * 5000, "its configuration: this nests over 100 deep"),
        ("null", "no JSON object"),
        ("[1]", "no JSON object"),
        ({"unet.r": "4"}, "r in its configuration is '4'"),
        ({"unet.r": 0}, "r in its configuration is 0"),
        ({"unet.r": 8}, "gives .*attn1.to_q the rank 8, its matrices have 4"),
        ({"unet.lora_alpha": [1, 2]}, r"lora_alpha in its configuration is \[1, 2\]"),
        ({"unet.lora_alpha": float("nan")}, "its configuration is not JSON: it has no NaN"),
        ({"unet.lora_alpha": 1e12}, "lora_alpha in its configuration is 1000000000000"),
        ({"unet.lora_alpha": True}, "lora_alpha in its configuration is True"),
        ({"unet.alpha_pattern": ["to_q"]}, "alpha_pattern in its configuration is"),
        ({"unet.alpha_pattern": {"to_q": None}}, "alpha_pattern.'to_q'. in its configuration is empty"),
        ({"unet.alpha_pattern": {"to_q": "8"}}, "alpha_pattern.'to_q'. in its configuration is '8'"),
        ({"unet.use_rslora": "yes"}, "use_rslora in its configuration is 'yes'"),
        ({"unet.peft_type": "VERA"}, "its kind is 'VERA'; only LORA, LOHA, "),
        ({"use_dora": True}, "says DoRA, which mid_block.*to_q lacks"),
        ({"unet.lora_bias": True}, "says biases, which mid_block.*to_q lacks"),
        ({"unet.use_qalora": True}, "this is QALoRA"),
        ({"unet.use_dora": "yes"}, "use_dora in its configuration is 'yes'; it must be true or false"),
        ({"unet.init_lora_weights": "loftq"}, "trained from 'loftq' .* path_initial_model_for_weight_conversion"),
        ({"unet.init_lora_weights": "corda"}, "trained from 'corda'"),
        ({"unet.init_lora_weights": "lora_ga"}, "trained from 'lora_ga'"),
        ({"unet.init_lora_weights": "pissa_niter_16"}, "trained from 'pissa_niter_16'"),
    ],
)
def test_a_configuration_that_cannot_be_is_named(networks: Networks, tmp_path: Path, header: Any, said: str) -> None:
    file = write(tmp_path, pair(), header)
    with pytest.raises(InputError, match=said) as caught:
        lora_files.read(file, *networks)
    assert str(caught.value).startswith(f"{file}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [True, False, None, "gaussian", "eva", "orthogonal", "mica"])
def test_a_start_that_leaves_the_base_alone_changes_nothing(networks: Networks, value: Any) -> None:
    plain, named = (
        lora_files.parse(ArrayTensors(pair()), *networks, header).unet[LAYER].compute_delta()
        for header in ({}, {"unet.init_lora_weights": value})
    )
    assert np.array_equal(plain, named)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"lora_A": np.zeros((0, WIDTH), np.float32), "lora_B": np.zeros((WIDTH, 0), np.float32)},
            "rank 0, which changes nothing",
        ),
        ({"lora_A": np.float32(1)}, r"are \[\] and \[64, 4\]"),
        ({"lora_B": np.zeros(WIDTH, np.float32)}, r"are \[4, 64\] and \[64\]"),
        ({"lora_B": np.zeros((WIDTH, 5), np.float32)}, r"are \[4, 64\] and \[64, 5\]"),
        ({"lora_A": np.full((4, WIDTH), np.nan, np.float32)}, "lora_A.weight holds numbers that are not finite"),
        ({"lora_B": np.full((WIDTH, 4), 1e300)}, "lora_B.weight holds numbers that are not finite"),
        ({"lora_A": np.ones((4, WIDTH), np.int32)}, "lora_A.weight is stored as int32"),
    ],
)
def test_matrices_that_cannot_be_are_named(networks: Networks, changes: Arrays, said: str) -> None:
    arrays = {**pair(), **{f"unet.{LAYER}.{name}.weight": array for name, array in changes.items()}}
    with pytest.raises(InputError, match=said):
        lora_files.parse(ArrayTensors(arrays), *networks)


def test_an_alpha_that_cannot_be_is_named(networks: Networks) -> None:
    for alpha, said in (
        (np.ones(2, np.float32), r"alpha is \[2\], not one number"),
        (np.float32("nan"), "the alpha nan"),
    ):
        with pytest.raises(InputError, match=said):
            lora_files.parse(ArrayTensors({**pair(), f"unet.{LAYER}.alpha": np.asarray(alpha)}), *networks)


def test_two_adapters_in_one_file_are_refused(networks: Networks) -> None:
    twice = {**pair(), **{key.replace(".weight", ".b.weight"): array for key, array in pair().items()}}
    with pytest.raises(InputError, match="mean the same; it holds several adapters"):
        lora_files.parse(ArrayTensors(twice), *networks)


def test_fp8_is_read(networks: Networks, tmp_path: Path) -> None:
    exact = pair()
    half = {key: array.astype(ml_dtypes.float8_e4m3fn) for key, array in exact.items()}
    entries, data = {}, b""
    for key, array in half.items():
        entries[key] = {"dtype": "F8_E4M3", "shape": array.shape, "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(entries).encode()
    (tmp_path / "fp8.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    found = lora_files.read(tmp_path, *networks).unet[LAYER].compute_delta()
    down, up = (half[f"unet.{LAYER}.{name}.weight"].astype(np.float64) for name in ("lora_A", "lora_B"))
    assert np.allclose(found, up @ down, rtol=1e-5, atol=1e-5)


def test_a_folder_has_one_file_or_says_what_it_has(networks: Networks, tmp_path: Path) -> None:
    write(tmp_path, pair(), name="ink.safetensors")
    assert list(lora_files.read(tmp_path, *networks).unet) == [LAYER]
    write(tmp_path, pair(), name="pond.safetensors")
    with pytest.raises(InputError, match=r"holds 2 safetensors files \(ink.safetensors, pond.safetensors\)"):
        lora_files.read(tmp_path, *networks)
    for file in tmp_path.iterdir():
        file.unlink()
    (tmp_path / "pytorch_lora_weights.bin").write_bytes(b"PK\x03\x04" + bytes(50))
    for source in (tmp_path, tmp_path / "pytorch_lora_weights.bin"):
        with pytest.raises(InputError, match=r"is a pickle, .*: jstyle convert .*/pytorch_lora_weights.bin"):
            lora_files.read(source, *networks)
