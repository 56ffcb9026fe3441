"""What a model is beside its weights: noise schedule, networks' configurations and tokenizer. It starts no Jittor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.errors import InputError
from jstyle.files import hash_files
from jstyle.networks.config import CLIPTextConfig, CLIPVisionConfig, UNetConfig, VAEConfig
from jstyle.networks.config_reader import read_json
from jstyle.settings.identity import digest

TOKENIZER_FILES = (
    "added_tokens.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
)


@dataclass(frozen=True)
class Configurations:
    """What the JSON of a model's folder says. Few models have an image encoder."""

    schedule: ScheduleConfig
    unet: UNetConfig
    vae: VAEConfig
    text_encoder: CLIPTextConfig
    image_encoder: Optional[CLIPVisionConfig] = None

    @property
    def networks(self) -> tuple[Any, ...]:
        """The networks' alone, as `hash_configuration` takes them."""
        return self.unet, self.vae, self.text_encoder, self.image_encoder


def read_configurations(folder: Path) -> Configurations:
    """Read them from a folder in diffusers' layout.

    Raises InputError, which names the file, for one that is missing or wrong, and where two do not fit each other.
    """
    vision = folder / "image_encoder"
    configurations = Configurations(
        ScheduleConfig.read(folder / "scheduler" / "scheduler_config.json"),
        read_network(UNetConfig, folder / "unet"),
        read_network(VAEConfig, folder / "vae"),
        read_network(CLIPTextConfig, folder / "text_encoder"),
        read_network(CLIPVisionConfig, vision) if (vision / "config.json").is_file() else None,
    )
    check_fit(configurations)
    return configurations


def read_network(kind: Any, folder: Path) -> Any:
    """The configuration of one network, of a class of `jstyle.networks.config`, from the folder of its part.

    Raises InputError, which names the file, for one that is missing or wrong.
    """
    file = folder / "config.json"
    return kind.from_dict(read_json(file), str(file))


def hash_configuration(schedule: ScheduleConfig, networks: Sequence[Any], tokenizer: Path) -> str:
    """SHA-256, in hexadecimal, over what decides, beside the weights, what a model does.

    Args:
        schedule: of which the sampler is a part.
        networks: the configurations of UNet, VAE, text encoder and image encoder (`jstyle.networks.config`), None for
            one that the model lacks.
        tokenizer: the tokenizer's folder, whose files count as they are.
    """
    files = [tokenizer / name for name in TOKENIZER_FILES if (tokenizer / name).is_file()]
    content = {
        "schedule": schedule,
        "networks": list(networks),
        "tokenizer": {file.name: hash_files([file]) for file in files},
    }
    return digest(content)


def check_fit(configurations: Configurations) -> None:
    """Raise InputError where UNet, VAE and text encoder are of different models."""
    unet, vae, text = configurations.unet, configurations.vae, configurations.text_encoder
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
