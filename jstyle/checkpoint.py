"""A model folder in diffusers' layout <-> the networks of Stable Diffusion."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Tuple

from jstyle import hub, prompts, weights
from jstyle.config import CLIPTextConfig, CLIPVisionConfig, UNetConfig, VAEConfig, read_json, to_dict
from jstyle.errors import InputError
from jstyle.files import replacing
from jstyle.models import AutoencoderKL, CLIPTextModel, CLIPVisionModelWithProjection, UNet2DConditionModel
from jstyle.precision import unet_dtype
from jstyle.schedule import ScheduleConfig

# Folder, class name in model_index.json, library, weight file stem, and how old files named things.
UNET = ("unet", "UNet2DConditionModel", "diffusers", "diffusion_pytorch_model")
VAE = ("vae", "AutoencoderKL", "diffusers", "diffusion_pytorch_model")
TEXT = ("text_encoder", "CLIPTextModel", "transformers", "model")
VISION = ("image_encoder", "CLIPVisionModelWithProjection", "transformers", "model")
MODEL_TYPES = {"CLIPTextModel": "clip_text_model", "CLIPVisionModelWithProjection": "clip_vision_model"}


@dataclass(frozen=True)
class Components:
    """What a Stable Diffusion checkpoint consists of, and the files it came from.

    Few checkpoints have an ``image_encoder``; only methods that read images with CLIP want it.
    """

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: Any
    schedule: ScheduleConfig
    tokenizer_folder: Path
    files: Tuple[Path, ...] = ()
    image_encoder: Optional[CLIPVisionModelWithProjection] = None


def load(
    model: str, *, revision: Optional[str] = None, variant: Optional[str] = None, precision: str = "fp32"
) -> Components:
    """Read a folder, a hub id or "tiny". Raises InputError for anything missing, damaged or of another kind."""
    dtype = unet_dtype(precision)
    folder = hub.locate(str(model), revision=revision, variant=variant)
    schedule = ScheduleConfig.from_dict(read_json(folder / "scheduler" / "scheduler_config.json"))
    tokenizer = prompts.load_tokenizer(folder / "tokenizer")
    unet = UNet2DConditionModel(UNetConfig.from_dict(read_json(folder / "unet" / "config.json")))
    vae = AutoencoderKL(VAEConfig.from_dict(read_json(folder / "vae" / "config.json")))
    text = CLIPTextModel(CLIPTextConfig.from_dict(read_json(folder / "text_encoder" / "config.json")))
    _check_fit(unet.config, vae.config, text.config, len(tokenizer))
    vision_file = folder / VISION[0] / "config.json"
    vision = None
    if vision_file.is_file():
        vision = CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(read_json(vision_file)))
    files = []
    for network, (name, *_), rename, own_dtype in (
        (unet, UNET, str, dtype),
        (vae, VAE, weights.rename_vae, "float32"),
        (text, TEXT, weights.rename_text, "float32"),
        (vision, VISION, str, "float32"),
    ):
        if network is None:
            continue
        own = hub.weight_files(folder / name, variant)
        weights.load(network, weights.FileTensors(own), name, rename, own_dtype)
        files.extend(own)
    return Components(unet, vae, text, tokenizer, schedule, folder / "tokenizer", tuple(files), vision)


def save(components: Components, folder: Path, *, variant: Optional[str] = None, dtype: str = "float32") -> None:
    """Write a folder that diffusers reads; it appears under its name only when it is whole.

    ``variant="fp16"`` writes half precision under the names of that variant, ``dtype="float16"`` under the plain ones.
    Raises InputError where something is there already, or for a variant other than "fp16".
    """
    if variant not in (None, "fp16"):
        raise InputError(f"variant {variant!r} cannot be written, only fp16 or none")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} already holds something; choose another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replacing(folder) as part:
        _write(components, part, "float16" if variant else dtype, ".fp16" if variant else "")


def fingerprint(components: Components) -> str:
    """SHA-256 over the weight files, 64 hexadecimal digits. InputError for networks that came from no file."""
    if not components.files:
        raise InputError("these networks came from no file and have no fingerprint; save them and load them again")
    return weights.fingerprint(components.files)


def _check_fit(unet: UNetConfig, vae: VAEConfig, text: CLIPTextConfig, vocabulary: int) -> None:
    latents = vae.latent_channels
    if unet.out_channels != latents or unet.in_channels not in (latents, 2 * latents + 1):
        raise InputError(
            f"the UNet takes {unet.in_channels} and gives {unet.out_channels} channels, "
            f"which does not fit a VAE of {latents}; is this a Stable Diffusion checkpoint?"
        )
    if unet.cross_attention_dim != text.hidden_size:
        raise InputError(
            f"the UNet reads texts of width {unet.cross_attention_dim}, the text encoder writes {text.hidden_size}; "
            "the folder mixes two models"
        )
    if vocabulary > text.vocab_size:
        raise InputError(
            f"the tokenizer has {vocabulary} tokens, the text encoder {text.vocab_size}; the folder mixes two models"
        )


def _write(components: Components, folder: Path, dtype: str, mark: str) -> None:
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
        weights.save(network, folder / name / f"{stem}{mark}.safetensors", dtype)
        index[name] = [library, class_name]
    # Copied, because transformers 5 writes a file that older ones, and so JDiffusion, cannot read.
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
