"""A model folder in diffusers' layout <-> the networks of Stable Diffusion."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np

from jstyle import ops
from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.diffusion.tokenizer import load_tokenizer
from jstyle.errors import InputError
from jstyle.files import hash_files, replacing
from jstyle.networks import AutoencoderKL, CLIPTextModel, CLIPVisionModelWithProjection, UNet2DConditionModel
from jstyle.networks.config_reader import to_dict
from jstyle.ops.precision import unet_dtype
from jstyle.weights import hub
from jstyle.weights.configuration import Configurations, read_configurations, read_image_encoder
from jstyle.weights.known_words import read_words
from jstyle.weights.loading import load_weights, save_weights
from jstyle.weights.tensors import FileTensors, Rename, rename_text, rename_vae

# Folder, class name in model_index.json, library, weight file stem.
UNET = ("unet", "UNet2DConditionModel", "diffusers", "diffusion_pytorch_model")
VAE = ("vae", "AutoencoderKL", "diffusers", "diffusion_pytorch_model")
TEXT = ("text_encoder", "CLIPTextModel", "transformers", "model")
VISION = ("image_encoder", "CLIPVisionModelWithProjection", "transformers", "model")
MODEL_TYPES = {"CLIPTextModel": "clip_text_model", "CLIPVisionModelWithProjection": "clip_vision_model"}


@dataclass(frozen=True)
class Components:
    """What a Stable Diffusion checkpoint consists of, and the files from which it was read.

    Few checkpoints have an ``image_encoder``; only methods that read images with CLIP need it.
    """

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: Any
    schedule: ScheduleConfig
    tokenizer_folder: Path
    files: tuple[Path, ...] = ()
    image_encoder: Optional[CLIPVisionModelWithProjection] = None
    words: Optional[frozenset[str]] = None
    """The words that it was taught, where its folder lists them."""


def load(
    model: str, *, revision: Optional[str] = None, variant: Optional[str] = None, precision: str = "fp32"
) -> Components:
    """Read a folder, a hub id or "tiny". Raises InputError for anything that is missing, damaged or of another kind."""
    dtype = unet_dtype(precision)
    folder = hub.locate(str(model), revision=revision, variant=variant)
    configurations = read_configurations(folder)
    tokenizer = read_tokenizer(folder, configurations)
    unet, vae = UNet2DConditionModel(configurations.unet), AutoencoderKL(configurations.vae)
    text = CLIPTextModel(configurations.text_encoder)
    vision, vision_files = load_image_encoder(folder, variant)
    files = [
        *fill_network(unet, UNET, folder, variant, dtype=dtype),
        *fill_network(vae, VAE, folder, variant, rename_vae),
        *fill_network(text, TEXT, folder, variant, rename_text),
        *vision_files,
    ]
    return Components(
        unet,
        vae,
        text,
        tokenizer,
        configurations.schedule,
        folder / "tokenizer",
        tuple(files),
        vision,
        read_words(folder),
    )


def fill_network(
    network: Any,
    kind: Sequence[str],
    folder: Path,
    variant: Optional[str],
    rename: Rename = str,
    dtype: str = "float32",
) -> list[Path]:
    """Read a network's weights from its folder within ``folder``, and return the files that hold them.

    Raises InputError where they are missing, damaged or do not fit the network.
    """
    files = hub.weight_files(folder / kind[0], variant)
    load_weights(network, FileTensors(files), kind[0], rename, dtype)
    return files


def load_image_encoder(
    folder: Path, variant: Optional[str]
) -> tuple[Optional[CLIPVisionModelWithProjection], list[Path]]:
    """The image encoder of a model, and its files; None where it has none. Raises InputError as ``fill_network``."""
    config = read_image_encoder(folder)
    if config is None:
        return None, []
    network = CLIPVisionModelWithProjection(config)
    return network, fill_network(network, VISION, folder, variant)


def save(components: Components, folder: Path, *, variant: Optional[str] = None, dtype: str = "float32") -> None:
    """Write a folder that diffusers can read; it appears under its name only when it is whole.

    ``variant="fp16"`` writes half precision under the names of that variant, ``dtype="float16"`` under the plain ones.
    Raises InputError where the folder already holds something, or for a variant other than "fp16".
    """
    if variant not in (None, "fp16"):
        raise InputError(f"variant {variant!r} cannot be written, only fp16 or none")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} already holds something; choose another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replacing(folder) as part:
        _write_folder(components, part, "float16" if variant else dtype, ".fp16" if variant else "")


def hash_components(components: Components) -> str:
    """SHA-256, 64 hexadecimal digits, over the weight files, or over the weights of networks without files."""
    if components.files:
        return hash_files(components.files)
    digest = hashlib.sha256()
    for network in (components.unet, components.vae, components.text_encoder, components.image_encoder):
        for name, parameter in network.named_parameters() if network is not None else ():
            digest.update(name.encode() + np.ascontiguousarray(ops.cast(parameter, "float32").numpy()).tobytes())
    return digest.hexdigest()


def read_tokenizer(folder: Path, configurations: Configurations) -> Any:
    """The tokenizer of a model's folder. Raises InputError for a wrong one, and one that is not the text encoder's."""
    text = configurations.text_encoder
    tokenizer = load_tokenizer(folder / "tokenizer", text.max_position_embeddings)
    words = 1 + max(tokenizer.get_vocab().values())
    if words > text.vocab_size:
        raise InputError(
            f"the tokenizer has {words} tokens, the text encoder {text.vocab_size}; the folder mixes two models"
        )
    return tokenizer


def _write_folder(components: Components, folder: Path, dtype: str, mark: str) -> None:
    index: dict = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.26.0"}
    networks = (
        (components.unet, UNET),
        (components.vae, VAE),
        (components.text_encoder, TEXT),
        (components.image_encoder, VISION),
    )
    for network, (name, class_name, library, stem) in networks:
        if network is None:
            index[name] = [None, None]
            continue
        (folder / name).mkdir(parents=True)
        config = to_dict(network.config, class_name)
        if library == "transformers":
            config = {"architectures": [class_name], "model_type": MODEL_TYPES[class_name], **config}
        _write_json(folder / name / "config.json", config)
        save_weights(network, folder / name / f"{stem}{mark}.safetensors", dtype)
        index[name] = [library, class_name]
    # Copied, because transformers 5 writes a file that older versions, and so JDiffusion, cannot read.
    shutil.copytree(components.tokenizer_folder, folder / "tokenizer")
    index["tokenizer"] = ["transformers", "CLIPTokenizer"]
    schedule = components.schedule.to_dict()
    _write_json(folder / "scheduler" / "scheduler_config.json", schedule)
    index["scheduler"] = ["diffusers", schedule["_class_name"]]
    for absent in ("safety_checker", "feature_extractor"):
        index[absent] = [None, None]
    _write_json(folder / "model_index.json", {**index, "requires_safety_checker": False})


def _write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
