"""Loading is strict, whatever the files' layout and precision."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from jstyle.errors import InputError
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.weights.tensors import FileTensors, write_tensors
from tests.parity.networks import GOLDEN, build

UNET = "unet/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"
Arrays = dict[str, np.ndarray]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN / "diffusers_folder", tmp_path / "model"))


def rewrite(file: Path, change: Callable[[Arrays], Arrays]) -> None:
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def load(folder: Path, **options: str) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(folder), **options)


def state(pipe: StableDiffusionPipeline) -> Arrays:
    return {
        f"{part}.{name}": np.array(var.numpy())
        for part in ("unet", "vae", "text_encoder")
        for name, var in getattr(pipe, part).named_parameters()
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {k: v for k, v in a.items() if k != "conv_in.bias"}, r"1 missing \(conv_in.bias\)"),
        (lambda a: {**a, "extra.weight": np.zeros(3, np.float32)}, r"1 unexpected \(extra.weight\)"),
        (lambda a: {**a, "conv_in.bias": np.zeros(7, np.float32)}, r"conv_in.bias is \[7\] but should be \[\d+\]"),
        (lambda a: {**a, "conv_in.bias": a["conv_in.bias"][:, None]}, "1 of the wrong shape"),
    ],
)
def test_a_wrong_key_is_named(folder: Path, change: Callable[[Arrays], Arrays], message: str) -> None:
    rewrite(folder / UNET, change)
    with pytest.raises(InputError, match=message) as caught:
        load(folder)
    assert "unet weights" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [0, 5, 300, -1])
def test_a_truncated_file_is_named(folder: Path, cut: int) -> None:
    (folder / VAE).write_bytes((folder / VAE).read_bytes()[:cut])
    with pytest.raises(InputError, match="vae.*not a whole safetensors file"):
        load(folder)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float16, 1e-3), (ml_dtypes.bfloat16, 1e-2)])
def test_half_precision_files(folder: Path, dtype: type, tolerance: float) -> None:
    exact = state(load(folder))
    for file in (UNET, VAE, TEXT):
        rewrite(folder / file, lambda arrays: {name: a.astype(dtype) for name, a in arrays.items()})
    for name, array in state(load(folder)).items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, exact[name], rtol=tolerance, atol=1e-6)


def test_variant_files(folder: Path) -> None:
    for file in (UNET, VAE, TEXT):
        (folder / file).rename((folder / file).with_suffix(".fp16.safetensors"))
    with pytest.raises(InputError, match="no safetensors weights"):
        load(folder)
    assert state(load(folder, variant="fp16"))


def test_sharded_files(folder: Path) -> None:
    exact = state(load(folder))
    arrays = load_file(folder / UNET)
    (folder / UNET).unlink()
    names, weight_map = sorted(arrays), {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        shard = f"diffusion_pytorch_model-{number:05d}-of-00002.safetensors"
        save_file({name: arrays[name] for name in part}, folder / "unet" / shard)
        weight_map.update(dict.fromkeys(part, shard))
    index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    again = state(load(folder))
    assert all(np.array_equal(again[name], array) for name, array in exact.items())


def test_old_names_of_the_vaes_attention(folder: Path) -> None:
    exact = state(load(folder))
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def age(arrays: Arrays) -> Arrays:
        aged = {}
        for name, array in arrays.items():
            for new, before in old.items():
                if f"attentions.0.{new}." in name:
                    name = name.replace(f".{new}.", f".{before}.")
                    array = array[:, :, None, None] if array.ndim == 2 else array
            aged[name] = array
        assert set(aged) != set(arrays)
        return aged

    rewrite(folder / VAE, age)
    again = state(load(folder))
    assert all(np.array_equal(again[name], array) for name, array in exact.items())


def test_position_ids_of_old_text_encoders_are_ignored(folder: Path) -> None:
    ids = {"text_model.embeddings.position_ids": np.arange(77)[None]}
    rewrite(folder / TEXT, lambda arrays: {**arrays, **ids})
    load(folder)


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_save_and_load_again(folder: Path, tmp_path: Path, variant: str) -> None:
    pipe = load(folder)
    pipe.save_pretrained(tmp_path / "saved", variant=variant)
    pipe.save_pretrained(tmp_path / "saved", variant=variant)
    again = state(StableDiffusionPipeline.from_pretrained(str(tmp_path / "saved"), variant=variant))
    for name, array in state(pipe).items():
        np.testing.assert_allclose(again[name], array, rtol=1e-3 if variant else 0, atol=1e-6 if variant else 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "saved"]


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_saved_keys_shapes_and_configs_are_diffusers_own(folder: Path, tmp_path: Path, part: str) -> None:
    load(folder).save_pretrained(tmp_path / "saved")
    stem = "model" if part == "text_encoder" else "diffusion_pytorch_model"
    ours, theirs = (load_file(f / part / f"{stem}.safetensors") for f in (tmp_path / "saved", folder))
    prefix = "" if part != "text_encoder" or next(iter(theirs)).startswith("text_model.") else "text_model."
    assert {k: v.shape for k, v in ours.items()} == {prefix + k: v.shape for k, v in theirs.items()}
    config, reference = (json.loads((f / part / "config.json").read_text()) for f in (tmp_path / "saved", folder))
    shared = [key for key in config if key in reference and not key.startswith("_")]
    assert len(shared) >= 10
    assert {key: config[key] for key in shared} == {key: reference[key] for key in shared}


@pytest.mark.parametrize(
    ("file", "key", "value", "message"),
    [
        ("unet/config.json", "time_embedding_dim", 256, "time_embedding_dim = 256 is not supported; only Stable"),
        ("unet/config.json", "cross_attention_norm", "x", "cross_attention_norm = 'x' is not supported; only Stable"),
        ("unet/config.json", "act_fn", "gelu", "act_fn = 'gelu' is not supported"),
        ("unet/config.json", "attention_head_dim", [3, 3, 3, 3], "attention_head_dim 3 does not divide 8 channels"),
        ("unet/config.json", "cross_attention_dim", 17, "mixes two models"),
        ("unet/config.json", "in_channels", 5, "does not fit a VAE"),
        ("vae/config.json", "use_quant_conv", False, "use_quant_conv = false is not supported"),
        ("text_encoder/config.json", "hidden_act", "relu", "hidden_act 'relu' is not supported"),
        ("text_encoder/config.json", "vocab_size", 7, "tokenizer is of another model"),
        ("scheduler/scheduler_config.json", "prediction_type", "flow", "prediction_type is 'flow'"),
    ],
)
def test_a_config_of_another_network_is_refused(folder: Path, file: str, key: str, value: object, message: str) -> None:
    config = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**config, key: value}))
    with pytest.raises(InputError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["unet/config.json", "scheduler/scheduler_config.json", "model_index.json"])
@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_missing_or_damaged_json_is_named(folder: Path, file: str, content: str) -> None:
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)
    with pytest.raises(InputError) as caught:
        load(folder)
    assert Path(file).name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_disk_that_is_full_leaves_nothing_behind(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = load(folder)

    def full(stream: BinaryIO, *_: object) -> None:
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jstyle.weights.loading.write", full)
    with pytest.raises(InputError, match="No space left on device.*free some space") as caught:
        pipe.save_pretrained(folder.parent / "saved")
    assert "\n" not in str(caught.value)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_an_image_encoder_is_saved_and_loaded(tmp_path: Path) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))
    assert pipe.parts.image_encoder is None
    encoder = build("sd2", "vision")
    StableDiffusionPipeline(replace(pipe.parts, image_encoder=encoder)).save_pretrained(tmp_path / "copy")
    again = StableDiffusionPipeline.from_pretrained(str(tmp_path / "copy")).parts.image_encoder
    assert again is not None and again.config == encoder.config
    for (name, a), (_, b) in zip(encoder.named_parameters(), again.named_parameters()):
        assert np.array_equal(a.numpy(), b.numpy()), name


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_file_is_for_whom_the_users_mask_lets_read(mask: int, tmp_path: Path) -> None:
    """On a shared disk other users and workers read it too."""
    before = os.umask(mask)
    try:
        write_tensors({"a": np.zeros(2, np.float32)}, tmp_path / "a.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o666 & ~mask


def test_what_is_written_is_the_same_each_time_and_read_by_the_library(tmp_path: Path) -> None:
    """Several types, a transposed array, and several entries of metadata, which safetensors 0.8.0 shuffles."""
    rng = np.random.default_rng(0)
    arrays = {
        "whole": np.arange(6, dtype=np.int64).reshape(2, 3),
        "turned": rng.standard_normal((3, 4), np.float32).T,
        "half": rng.standard_normal(5).astype(np.float16),
        "one": np.float32(2.5),
    }
    metadata = {f"entry {number}": str(number) for number in range(20)}
    files = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for number, file in enumerate(files):
        turned = dict(reversed(list(metadata.items()))) if number else metadata
        write_tensors(arrays if number < 2 else dict(reversed(list(arrays.items()))), file, turned)
    assert len({file.read_bytes() for file in files}) == 1
    with safe_open(files[0], framework="np") as opened:
        assert opened.metadata() == metadata
        for name, array in arrays.items():
            found = opened.get_tensor(name)
            assert found.dtype == array.dtype and found.shape == array.shape and np.array_equal(found, array)
    low = {"b": rng.standard_normal((2, 3)).astype(ml_dtypes.bfloat16), "f": np.ones(3, ml_dtypes.float8_e4m3fn)}
    write_tensors(low, files[0])
    stored = FileTensors([files[0]])
    assert stored.metadata == {"format": "pt"}
    assert all(np.array_equal(stored.read(name), array) for name, array in low.items())
