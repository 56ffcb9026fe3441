"""A model's files <-> the networks of Stable Diffusion."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.diffusion.tokenizer import load_tokenizer
from jstyle.errors import InputError
from jstyle.files import hash_files
from jstyle.networks import (
    AutoencoderKL,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionModelWithProjection,
    UNet2DConditionModel,
)
from jstyle.networks.config import CLIPTextConfig, CLIPVisionConfig
from jstyle.ops.precision import unet_dtype
from jstyle.settings.model import ModelSettings
from jstyle.weights.configuration import ZEROES, read_network
from jstyle.weights.model_files import ModelFiles, list_files, locate_model
from jstyle.weights.saving import saving
from jstyle.weights.stored import NETWORKS, StoredNetwork, store_folder


@dataclass(frozen=True)
class Components:
    """What a Stable Diffusion checkpoint consists of.

    Few checkpoints have an ``image_encoder``; only methods that read images with CLIP need it. SDXL alone has a second
    text encoder with its tokenizer.
    """

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: Any
    schedule: ScheduleConfig
    tokenizer_folder: Path
    stored: Mapping[str, StoredNetwork] = field(default_factory=dict)
    """Where the weights of each network were read from; empty for networks without files."""

    image_encoder: Optional[CLIPVisionModelWithProjection] = None
    words: Optional[frozenset[str]] = None
    """The words that it was taught, where its folder lists them."""

    text_encoder_2: Optional[CLIPTextModelWithProjection] = None
    tokenizer_2: Any = None
    tokenizer_2_folder: Optional[Path] = None
    zeroes_no_negative: bool = False
    """Whether zeros stand against a prompt where there is no negative one."""


def load(settings: ModelSettings) -> Components:
    """Read the model that settings name. Raises InputError for anything missing, damaged or of another kind."""
    dtype = unet_dtype(settings.precision)
    model = locate_model(settings)
    read = model.configurations
    tokenizer = read_tokenizer(model.tokenizer, read.text_encoder)
    unet, vae, text = UNet2DConditionModel(read.unet), AutoencoderKL(read.vae), CLIPTextModel(read.text_encoder)
    vision = None if read.image_encoder is None else CLIPVisionModelWithProjection(read.image_encoder)
    components = Components(unet, vae, text, tokenizer, read.schedule, model.tokenizer, image_encoder=vision)
    if read.text_encoder_2 is not None and model.tokenizer_2 is not None:
        components = replace(
            components,
            text_encoder_2=CLIPTextModelWithProjection(read.text_encoder_2),
            tokenizer_2=read_tokenizer(model.tokenizer_2, read.text_encoder_2),
            tokenizer_2_folder=model.tokenizer_2,
            zeroes_no_negative=read.zeroes_no_negative,
        )
    return fill_components(components, model, dtype)


def fill_components(components: Components, model: ModelFiles, dtype: str = "float32") -> Components:
    """The components with the weights of a model's files in their networks, the UNet's in ``dtype``.

    Raises InputError where they are missing, damaged or do not fit the networks.
    """
    for part, stored in model.networks.items():
        network = getattr(components, part)
        network.fill(stored, dtype if network is components.unet else "float32")
    return replace(components, stored=model.networks, words=model.words)


def load_image_encoder(folder: Path, variant: Optional[str]) -> CLIPVisionModelWithProjection:
    """The image encoder in its own folder. Raises InputError as ``fill_components``, and for a wrong configuration."""
    network = CLIPVisionModelWithProjection(read_network(CLIPVisionConfig, folder))
    network.fill(store_folder(network.kind.folder, folder, variant))
    return network


def save(
    components: Components,
    folder: Path,
    *,
    variant: Optional[str] = None,
    dtype: str = "float32",
    overwrite: bool = False,
) -> None:
    """Write a folder that diffusers can read; a new one appears under its name only when it is whole.

    ``variant="fp16"`` writes half precision under the names of that variant, ``dtype="float16"`` under the plain ones.
    Raises InputError where the folder holds another model, but for ``overwrite=True`` (`saving`), and for a variant
    other than "fp16".
    """
    if variant not in (None, "fp16"):
        raise InputError(f"variant {variant!r} cannot be written, only fp16 or none")
    with saving(folder, overwrite, variant) as part:
        _write_folder(components, part, "float16" if variant else dtype, ".fp16" if variant else "")


def hash_components(components: Components) -> str:
    """SHA-256, 64 hexadecimal digits, over the weight files, and over the weights of networks without files."""
    networks = {name: getattr(components, name) for name in NETWORKS}
    bare = [network for name, network in networks.items() if network is not None and name not in components.stored]
    of_files = hash_files(list_files(components.stored)) if components.stored else ""
    if not bare:
        return of_files
    digest = hashlib.sha256(of_files.encode())
    for network in bare:
        network.add_to_digest(digest)
    return digest.hexdigest()


def read_tokenizer(folder: Path, text: CLIPTextConfig) -> Any:
    """The tokenizer in its own folder. Raises InputError for a wrong one, and one that is not the text encoder's."""
    tokenizer = load_tokenizer(folder, text.max_position_embeddings)
    words = 1 + max(tokenizer.get_vocab().values())
    if words > text.vocab_size:
        raise InputError(
            f"the tokenizer has {words} tokens, the text encoder {text.vocab_size}; {folder} is of another model"
        )
    return tokenizer


def _write_folder(components: Components, folder: Path, dtype: str, mark: str) -> None:
    is_xl = components.text_encoder_2 is not None
    class_name = "StableDiffusionXLPipeline" if is_xl else "StableDiffusionPipeline"
    index: dict = {"_class_name": class_name, "_diffusers_version": "0.26.0"}
    for network in (getattr(components, name) for name in NETWORKS):
        if network is not None:
            kind = network.kind
            (folder / kind.folder).mkdir(parents=True)
            network.write(folder / kind.folder, dtype, mark)
            index[kind.folder] = [kind.library, kind.class_name]
    # Copied, because transformers 5 writes a file that older versions, and so JDiffusion, cannot read.
    tokenizers = {"tokenizer": components.tokenizer_folder, "tokenizer_2": components.tokenizer_2_folder}
    for name, source in tokenizers.items():
        if source is not None:
            shutil.copytree(source, folder / name)
            index[name] = ["transformers", "CLIPTokenizer"]
    schedule = components.schedule.to_dict()
    _write_json(folder / "scheduler" / "scheduler_config.json", schedule)
    index["scheduler"] = ["diffusers", schedule["_class_name"]]
    for absent in ("image_encoder", *(() if is_xl else ("safety_checker",)), "feature_extractor"):
        index.setdefault(absent, [None, None])
    index.update({ZEROES: components.zeroes_no_negative} if is_xl else {"requires_safety_checker": False})
    _write_json(folder / "model_index.json", index)


def _write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
