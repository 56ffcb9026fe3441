"""The JSON of a model's folder: a wrong value is one line that names file and key, what diffusers loads is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from jstyle.errors import InputError
from jstyle.weights.configuration import read_configurations
from tests.parity.networks import GOLDEN


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN / "diffusers_folder", tmp_path / "model"))


@pytest.mark.parametrize(
    ("file", "key", "value", "message"),
    [
        ("unet/config.json", "sample_size", "16", "sample_size must be a whole number, not '16'"),
        ("unet/config.json", "sample_size", 10**12, "sample_size must be from 1 to 16384, not 1000000000000"),
        ("unet/config.json", "in_channels", None, "in_channels must be a whole number, not null"),
        ("unet/config.json", "block_out_channels", [8, "8", 16, 16], r"block_out_channels\[1\] must be a whole number"),
        ("unet/config.json", "block_out_channels", [8, 0, 16, 16], "block_out_channels must be from 1 to 65536"),
        ("unet/config.json", "block_out_channels", [], "block_out_channels must have from 1 to 8 levels, not 0"),
        ("unet/config.json", "attention_head_dim", 0, "attention_head_dim must be from 1 to 65536"),
        ("unet/config.json", "norm_num_groups", 0, "norm_num_groups must be from 1 to 65536, not 0"),
        ("unet/config.json", "norm_eps", float("nan"), "norm_eps must be a finite number, not nan"),
        ("unet/config.json", "layers_per_block", [2, 2], "layers_per_block and block_out_channels differ in length"),
        ("unet/config.json", "layers_per_block", 10**9, "layers_per_block must be from 1 to 64"),
        ("unet/config.json", "down_block_types", [["DownBlock2D"]] * 4, r"down_block_types\[0\] must be a text"),
        ("unet/config.json", "up_block_types", ["UpBlock3D"] * 4, "up_block_types: 'UpBlock3D' is not supported"),
        ("unet/config.json", "flip_sin_to_cos", 1, "flip_sin_to_cos must be true or false, not 1"),
        ("unet/config.json", "freq_shift", 4, "freq_shift must be from 0 to 3, not 4"),
        ("vae/config.json", "scaling_factor", None, "scaling_factor must be a number, not null"),
        ("vae/config.json", "scaling_factor", 0, "scaling_factor must be above 0, not 0"),
        ("vae/config.json", "norm_num_groups", 3, "norm_num_groups 3 does not divide 8 channels"),
        ("vae/config.json", "latent_channels", {}, r"latent_channels must be a whole number, not \{\}"),
        ("text_encoder/config.json", "num_attention_heads", 0, "num_attention_heads must be from 1 to 65536, not 0"),
        ("text_encoder/config.json", "num_hidden_layers", -1, "num_hidden_layers must be from 1 to 64, not -1"),
        ("text_encoder/config.json", "hidden_size", 16.5, "hidden_size must be a whole number, not 16.5"),
        ("text_encoder/config.json", "layer_norm_eps", "tiny", "layer_norm_eps must be a number, not 'tiny'"),
        ("scheduler/scheduler_config.json", "num_train_timesteps", 10**9, "num_train_timesteps must be a whole number"),
        ("scheduler/scheduler_config.json", "beta_end", "0.012", "beta_end: every beta must lie between 0 and 1"),
    ],
)
def test_a_wrong_value_is_a_line_that_names_file_and_key(
    folder: Path, file: str, key: str, value: object, message: str
) -> None:
    config = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**config, key: value}))
    with pytest.raises(InputError, match=f"^{folder / file}: {message}") as caught:
        read_configurations(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"1" * 5000, b"\xed\xa0\x80", b"[]", b'{"a": ', b""])
def test_what_is_no_json_object_is_one_line(folder: Path, content: bytes) -> None:
    file = folder / "unet" / "config.json"
    file.write_bytes(content)
    with pytest.raises(InputError, match=f"^{file}: this ") as caught:
        read_configurations(folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize(("key", "value"), [("dropout", 0.1), ("layers_per_block", [1, 1, 1, 1])])
def test_what_diffusers_loads_too_is_read(folder: Path, key: str, value: object) -> None:
    before = read_configurations(folder).unet
    file = folder / "unet" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    after = read_configurations(folder).unet
    assert after.layers == ((1,) * 4 if key == "layers_per_block" else before.layers) and after.heads == before.heads
