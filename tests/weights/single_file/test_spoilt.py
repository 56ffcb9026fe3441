"""Single files and VAEs that are not what they should be: each is one line that says what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from jstyle.errors import InputError
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.model import ModelSettings
from tests.golden import single_files
from tests.weights.single_file import recorded

UNET, VAE = "model.diffusion_model.", "first_stage_model."
CLIP, OPEN_CLIP = "cond_stage_model.transformer.text_model.", "cond_stage_model.model."
NORM = f"{UNET}input_blocks.1.0.in_layers.0.weight"
FUSED = f"{OPEN_CLIP}transformer.resblocks.3.attn.in_proj_weight"
ZEROS = np.zeros((2, 2), np.float32)
Arrays = dict[str, np.ndarray]
Spoil = Callable[[Arrays], Any]


def drop(name: str) -> Spoil:
    return lambda arrays: arrays.pop(name)


def put(name: str, array: np.ndarray = ZEROS) -> Spoil:
    return lambda arrays: arrays.update({name: array})


def leave(*prefixes: str) -> Spoil:
    return lambda arrays: [arrays.pop(name) for name in list(arrays) if not name.startswith(prefixes)]


def clear(arrays: Arrays) -> None:
    arrays.clear()


SPOILT: dict[str, tuple[str, Spoil, str]] = {
    "a missing key": ("sd1", drop(NORM), f"keys 1 missing ({NORM})"),
    "a missing level": (
        "sd1",
        lambda arrays: [arrays.pop(name) for name in list(arrays) if "output_blocks.2." in name],
        "do not fit .*unet/config.json: .*missing .*output_blocks.2.0",
    ),
    "an unexpected key of the UNet": ("sd1", put(f"{UNET}time_embed.7.weight"), "1 unexpected .*time_embed.7.weight"),
    "an unexpected key of the VAE": ("sd1", put(f"{VAE}encoder.extra"), "vae weights .*unexpected .*encoder.extra"),
    "an unexpected key of the text encoder": ("sd1", put(f"{CLIP}extra"), "text_encoder weights .*unexpected"),
    "a key of nothing": ("sd1", put("something.else"), r"holds 1 keys (something.else) that are of no Stable"),
    "another shape": ("sd1", put(NORM), rf"{NORM} is [2, 2] but should be [16]"),
    "a scalar": ("sd1", put(NORM, np.array(1.0)), rf"{NORM} is [] but should be"),
    "whole numbers": ("sd1", put(NORM, np.ones(16, np.int64)), f"{NORM} of the unet weights is stored as int64"),
    "no numbers": ("sd1", put(NORM, np.full(16, np.nan, np.float32)), f"{NORM} of the unet .* not finite"),
    "joined rows that cannot be parted": ("sd2_v", put(FUSED, np.zeros((100, 48), np.float32)), "in_proj_weight is"),
    "joined rows that are missing": ("sd2_v", drop(FUSED), f"3 missing ({FUSED}"),
    "a layer that is missing": (
        "sd2_v",
        lambda arrays: [arrays.pop(name) for name in list(arrays) if ".resblocks.22." in name],
        "missing .*resblocks.22",
    ),
    "a text encoder of another family": ("sd2_v", put(f"{CLIP}embeddings.x"), "that are of no Stable Diffusion"),
    "no UNet": ("sd1", leave(VAE), "holds a VAE and no UNet: give it as the model's vae_weights"),
    "no VAE": ("sd1", leave(UNET, CLIP), "no safetensors weights in .*vae"),
    "nothing": ("sd1", clear, "holds no UNet, but nothing"),
    "a LoRA": ("sd1", put("lora_unet_down.lora_up.weight"), "is a LoRA, which goes on a model"),
    "a word": ("sd1", put("emb_params"), "is a learnt word"),
    "a ControlNet": ("sd1", put("control_model.input_hint_block.0.weight"), "is a ControlNet, which is not here"),
    "SDXL": ("sd1", put("conditioner.embedders.0.transformer.x"), "that are of no Stable Diffusion 1.x, 2.x or XL"),
    "SDXL's UNet": ("sd1", put(f"{UNET}label_emb.0.0.weight"), "is of no shape that is known"),
    "Stable Diffusion 3": ("sd1", put(f"{UNET}joint_blocks.0.x"), "is Stable Diffusion 3, which is not here"),
    "FLUX": ("sd1", put("double_blocks.0.x"), "is FLUX, which is not here"),
    "a first layer of no channels": (
        "sd1",
        put(f"{UNET}input_blocks.0.0.weight", np.zeros(16, np.float32)),
        "its UNet's first layer has no shape that one can have (in_channels must be from 1",
    ),
    "depth": (
        "sd1",
        put(f"{UNET}input_blocks.0.0.weight", np.zeros((16, 5, 3, 3), np.float32)),
        "the UNet takes 5 and gives 4 channels, which does not fit a VAE of 4",
    ),
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("bases")
    for kind in ("sd1", "sd2_v"):
        single_files.write_folder(kind, place / kind)
    return place


def refuse(settings: ModelSettings) -> str:
    """The one line with which a model is refused."""
    with pytest.raises(InputError) as caught:
        StableDiffusionPipeline.from_settings(settings)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    return str(caught.value)


@pytest.mark.parametrize("name", list(SPOILT))
def test_a_spoilt_file_is_one_line(name: str, bases: Path, tmp_path: Path) -> None:
    kind, spoil, message = SPOILT[name]
    arrays = single_files.make_arrays(kind, recorded.list_names(kind))
    spoil(arrays)
    save_file(arrays, tmp_path / "model.safetensors")
    said = refuse(ModelSettings(str(tmp_path / "model.safetensors"), base_model=str(bases / kind)))
    assert_said(message, said)


def test_a_base_model_of_another_shape(bases: Path, tmp_path: Path) -> None:
    file = single_files.write_file("sd1", recorded.list_names("sd1"), tmp_path / "model.safetensors")
    assert_said(
        "do not fit .*sd2_v/unet/config.json: keys .* wrong shape",
        refuse(ModelSettings(str(file), base_model=str(bases / "sd2_v"))),
    )
    assert_said("is of no shape that is known: .* texts of width 32", refuse(ModelSettings(str(file))))
    assert_said("no folder 'nowhere' in diffusers' layout", refuse(ModelSettings(str(file), base_model="nowhere")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a whole safetensors file"),
        (b'\x08\0\0\0\0\0\0\0{"a": 1', "is not a whole safetensors file"),
        (b"<html>please log in</html>", "is not a whole safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is not a whole safetensors file"),
        (b"PK\x03\x04" + bytes(60), "is a pickle, .*; convert it: jstyle convert .*model.safetensors"),
    ],
)
@pytest.mark.parametrize("as_vae", [True, False])
def test_what_is_no_safetensors_file(content: bytes, message: str, as_vae: bool, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    assert_said(message, refuse(ModelSettings("tiny", vae_weights=str(file)) if as_vae else ModelSettings(str(file))))


VAES: dict[str, tuple[Spoil, str]] = {
    "a missing key": (
        drop(f"{VAE}decoder.mid.block_1.norm1.bias"),
        r"1 missing (first_stage_model.decoder.mid",
    ),
    "an unexpected key": (put(f"{VAE}extra"), r"1 unexpected (first_stage_model.extra"),
    "another shape": (put(f"{VAE}quant_conv.bias"), r"quant_conv.bias is [2, 2]"),
    "no decoder": (leave(f"{VAE}encoder."), "do not fit the configuration of the model's own: keys .* missing"),
    "no VAE": (leave(UNET), "holds no VAE of Stable Diffusion"),
    "nothing": (clear, "holds no VAE of Stable Diffusion"),
}


@pytest.mark.parametrize("name", list(VAES))
def test_a_spoilt_vae_is_one_line(name: str, bases: Path, tmp_path: Path) -> None:
    spoil, message = VAES[name]
    arrays = single_files.make_arrays("sd1", recorded.list_names("sd1"))
    save_file(arrays, tmp_path / "model.safetensors")
    spoil(arrays)
    save_file(arrays, tmp_path / "vae.safetensors")
    model, base = str(tmp_path / "model.safetensors"), str(bases / "sd1")
    said = refuse(ModelSettings(model, base_model=base, vae_weights=str(tmp_path / "vae.safetensors")))
    assert_said(message, said)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "{file}", "variant": "fp16"}, "a variant .* only be asked of a folder or hub id"),
        ({"model": "{file}", "revision": "main"}, "a revision .* only be asked of a hub id"),
        ({"base_model": "tiny"}, "base_model is for a model in a single file, and 'tiny' is none"),
        ({"vae_weights": "nowhere"}, "'nowhere' has no vae"),
        ({"model": "https://example.org/a.safetensors"}, "is no file of the hub: download it"),
        (
            {"model": "owner/name/a.ckpt"},
            "a.ckpt is a pickle, .* download it .*, then convert it: jstyle convert",
        ),
        ({"model": "https://huggingface.co/owner/name/blob/main/a.ckpt"}, "hf download owner/name a.ckpt"),
    ],
)
def test_settings_that_do_not_go_together(fields: dict[str, str], message: str, tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.touch()
    assert_said(message, refuse(ModelSettings(**{key: value.format(file=file) for key, value in fields.items()})))


def test_an_original_config_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="original_config is not read"):
        StableDiffusionPipeline.from_single_file(tmp_path / "a.safetensors", original_config="v1.yaml")  # type: ignore[arg-type]


def assert_said(parts: str, said: str) -> None:
    """That the parts, between which there is `.*`, are said one after another."""
    place = 0
    for part in parts.split(".*"):
        place = said.find(part.strip(), place)
        assert place >= 0, f"{part!r} is not in {said!r}"
