"""What a job must know of a checkpoint before any process loads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from jstyle.competition.settings import Model
from jstyle.diffusion.schedule import ScheduleConfig
from jstyle.errors import InputError
from jstyle.files import hash_files
from jstyle.networks.config import UNetConfig, VAEConfig, read_json
from jstyle.weights import hub

_NETWORKS = ("unet", "vae", "text_encoder", "image_encoder")  # as the fingerprint of loaded networks orders them


@dataclass(frozen=True)
class Checkpoint:
    """``hash``: a loaded pipeline's ``model_hash``; ``size``: (width, height) of the pictures; ``sampler``: its own."""

    hash: str
    size: Tuple[int, int]
    sampler: str


def describe(model: Model) -> Checkpoint:
    """Raises InputError for a checkpoint that is not there, and a size that its VAE cannot halve often enough."""
    folder = hub.locate(model.model, revision=model.revision, variant=model.variant)
    networks = [name for name in _NETWORKS if (folder / name / "config.json").is_file()]
    files = [file for name in networks for file in hub.weight_files(folder / name, model.variant)]
    unet = UNetConfig.from_dict(read_json(folder / "unet" / "config.json"))
    factor = VAEConfig.from_dict(read_json(folder / "vae" / "config.json")).factor
    own = unet.sample_size * factor
    width, height = (own if side is None else side for side in (model.width, model.height))
    if min(width, height) <= 0 or width % factor or height % factor:
        raise InputError(f"recipe: width and height must be positive multiples of {factor}, not {width}x{height}")
    schedule = ScheduleConfig.from_dict(read_json(folder / "scheduler" / "scheduler_config.json"))
    return Checkpoint(hash_files(files), (width, height), schedule.sampler)
