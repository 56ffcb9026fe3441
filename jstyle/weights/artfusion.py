"""ArtFusion's one file: whose parameters lie where in it. Free of Jittor.

The paper's checkpoint, turned into safetensors, holds UNet, VAE, VGG16 and the vector of no style under the names of
its program, and the averaged weights of UNet and vector beside those that were trained last; the averaged ones are
what it is used with. What we train says its sizes in the file's metadata, under "artfusion".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np

from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.errors import InputError
from jstyle.files import hash_files
from jstyle.networks.artfusion.config import StyleUNetConfig
from jstyle.networks.config import VAEConfig
from jstyle.networks.config_reader import read_fields
from jstyle.settings.identity import digest
from jstyle.settings.model import ArtFusionModelSettings
from jstyle.weights.description import Checkpoint
from jstyle.weights.single_file.names import find_vae_names
from jstyle.weights.stored import Layout, Slot, StoredNetwork
from jstyle.weights.tensors import FileTensors, to_numbers

SIDE = 256
"""Pixels, of the pictures that it was trained on."""

# What the paper's program calls linear: even in the roots of the betas. The step after the last stands at time 0.
SCHEDULE = ScheduleConfig(
    beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1,
    set_alpha_to_one=False,
)  # fmt: skip

SIZES = "artfusion"
"""The key in the metadata."""

_NOTHING = re.compile(r"(?!)")
_COUNTERS = re.compile(r"(decay|num_updates)$")
_LOSS = re.compile(r"loss\.")
_AVERAGED, _TRAINED = "model_ema.", "model.diffusion_model."
_NULL = ("null_style_vector_ema.weight", "null_style_vector.weight")

KL_F16 = VAEConfig(
    down_block_types=("DownEncoderBlock2D",) * 4 + ("AttnDownEncoderBlock2D",),
    up_block_types=("AttnUpDecoderBlock2D",) + ("UpDecoderBlock2D",) * 4,
    block_out_channels=(128, 128, 256, 256, 512),
    layers_per_block=2,
    latent_channels=16,
    sample_size=256,
    scaling_factor=1.0,
)
"""Latent diffusion's autoencoder kl-f16 (arXiv 2112.10752, table 8)."""


@dataclass(frozen=True)
class ArtFusionSizes:
    """The networks' sizes; the defaults are those of the paper's checkpoint."""

    unet: StyleUNetConfig = field(default_factory=StyleUNetConfig)
    vae: VAEConfig = KL_F16
    vgg_widths: tuple[int, ...] = (64, 128, 256, 512, 512)


@dataclass(frozen=True)
class ArtFusionFile:
    """What is in a file: networks that `Network.fill` and `load_weights` read, and three small arrays.

    ``shift`` and ``scale`` (channels,) bring the VAE's latent to the diffusion's, ``null_style`` (style_width,) stands
    for no style.
    """

    sizes: ArtFusionSizes
    unet: StoredNetwork
    vae: StoredNetwork
    vgg: StoredNetwork
    shift: np.ndarray
    scale: np.ndarray
    null_style: np.ndarray


def read_artfusion(file: Path) -> ArtFusionFile:
    """Look into a file. Raises InputError for one that is damaged, a pickle, or of something else."""
    tensors = FileTensors([file])
    stored = tensors.shapes()
    null_style = next((name for name in _NULL if name in stored), None)
    lacking = [name for name in ("shift_values", "scale_factors", "vgg.slice1.0.weight") if name not in stored]
    if null_style is None or lacking:
        what = lacking[0] if lacking else _NULL[1]
        raise InputError(f"{file} is no model of ArtFusion's: it holds no {what}")
    sizes = _read_sizes(tensors.metadata.get(SIZES), f"{file}: the sizes in its metadata")
    is_averaged = any(name.startswith(f"{_AVERAGED}diffusion_model") for name in stored)
    described = "its metadata" if SIZES in tensors.metadata else "the sizes of the paper's model"
    return ArtFusionFile(
        sizes,
        StoredNetwork((file,), described, layout=_AVERAGE if is_averaged else Layout(_TRAINED, Slot, _NOTHING)),
        StoredNetwork((file,), described, layout=Layout("first_stage_model.", find_vae_names(sizes.vae), _LOSS)),
        StoredNetwork((file,), described, layout=Layout("vgg.", Slot, _NOTHING)),
        _read_row(tensors, "shift_values", sizes.unet.channels),
        _read_row(tensors, "scale_factors", sizes.unet.channels),
        _read_row(tensors, null_style, sizes.unet.style_width),
    )


def locate_artfusion(settings: ArtFusionModelSettings) -> ArtFusionFile:
    """What the settings' file is. Raises InputError as `read_artfusion` does."""
    return read_artfusion(Path(settings.model))


def describe_artfusion(settings: ArtFusionModelSettings) -> Checkpoint:
    """The digests of a model that is not loaded. Raises InputError as `read_artfusion` does."""
    sizes = read_artfusion(settings.model).sizes
    weights = hash_files([settings.model])
    return Checkpoint(None, weights, digest((sizes, SCHEDULE)), (SIDE, SIDE), "ddim", weights)


def describe_sizes(sizes: ArtFusionSizes) -> Mapping[str, str]:
    """What a file's metadata says of the sizes."""
    return {SIZES: json.dumps(asdict(sizes), sort_keys=True)}


def _name_averaged(parameter: str) -> Slot:
    """An averaged weight has its name without dots, which buffers of PyTorch's cannot have."""
    return Slot("diffusion_model" + parameter.replace(".", ""))


_AVERAGE = Layout(_AVERAGED, _name_averaged, _COUNTERS)


def _read_sizes(said: Optional[str], place: str) -> ArtFusionSizes:
    if said is None:
        return ArtFusionSizes()
    try:
        content: Any = json.loads(said)
        unet = read_fields(StyleUNetConfig, content["unet"], f"{place}: unet")
        vae = read_fields(VAEConfig, content["vae"], f"{place}: vae")
        return ArtFusionSizes(unet, vae, tuple(int(width) for width in content["vgg_widths"]))
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{place} cannot be read ({error})") from None


def _read_row(tensors: FileTensors, name: str, length: int) -> np.ndarray:
    row = to_numbers(tensors.read(name), name, "fetch the model again").reshape(-1)
    if len(row) != length:
        raise InputError(f"{name} has {len(row)} numbers but should have {length}; fetch the model again")
    return row
