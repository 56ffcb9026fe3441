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
from jstyle.settings.messages import Where

ZEROES = "force_zeros_for_empty_prompt"
"""The name of `Configurations.zeroes_no_negative` in a folder's model_index.json."""

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
    """What the JSON of a model's folder says. Few models have an image encoder, SDXL alone a second text encoder."""

    schedule: ScheduleConfig
    unet: UNetConfig
    vae: VAEConfig
    text_encoder: CLIPTextConfig
    image_encoder: Optional[CLIPVisionConfig] = None
    text_encoder_2: Optional[CLIPTextConfig] = None

    zeroes_no_negative: bool = False
    """Whether zeros stand against a prompt where there is no negative one: ``force_zeros_for_empty_prompt``."""

    @property
    def networks(self) -> tuple[Any, ...]:
        """The networks' alone, as `hash_configuration` takes them."""
        return self.unet, self.vae, self.text_encoder, self.image_encoder, self.text_encoder_2


def read_configurations(folder: Path) -> Configurations:
    """Read them from a folder in diffusers' layout.

    Raises InputError, which names the file, for one that is missing or wrong, and where two do not fit each other.
    """
    vision, second = folder / "image_encoder", folder / "text_encoder_2"
    has_second = (second / "config.json").is_file()
    configurations = Configurations(
        ScheduleConfig.read(folder / "scheduler" / "scheduler_config.json"),
        read_network(UNetConfig, folder / "unet"),
        read_network(VAEConfig, folder / "vae"),
        read_network(CLIPTextConfig, folder / "text_encoder"),
        read_network(CLIPVisionConfig, vision) if (vision / "config.json").is_file() else None,
        read_network(CLIPTextConfig, second) if has_second else None,
        has_second and read_zeroes(folder / "model_index.json"),
    )
    check_fit(configurations)
    return configurations


def read_network(kind: Any, folder: Path) -> Any:
    """The configuration of one network, of a class of `jstyle.networks.config`, from the folder of its part.

    Raises InputError, which names the file, for one that is missing or wrong.
    """
    file = folder / "config.json"
    return kind.from_dict(read_json(file), str(file))


def read_zeroes(index: Path) -> bool:
    """Whether a folder of SDXL asks for zeros where there is no negative prompt, as it does unless it says no."""
    value = read_json(index).get(ZEROES, True) if index.is_file() else True
    if not isinstance(value, bool):
        raise Where(str(index)).within(ZEROES).mismatch("true or false", value)
    return value


def hash_configuration(
    schedule: ScheduleConfig,
    networks: Sequence[Any],
    tokenizer: Path,
    tokenizer_2: Optional[Path] = None,
    zeroes_no_negative: bool = False,
) -> str:
    """SHA-256, in hexadecimal, over what decides, beside the weights, what a model does.

    Args:
        schedule: of which the sampler is a part.
        networks: the configurations of UNet, VAE, text encoder, image encoder and second text encoder
            (`jstyle.networks.config`), None for one that the model lacks.
        tokenizer: the tokenizer's folder, whose files count as they are.
        tokenizer_2: the second's.
        zeroes_no_negative: as in `Configurations`.
    """
    *usual, second = networks
    content = {"schedule": schedule, "networks": usual, "tokenizer": _hash_tokenizer(tokenizer)}
    if second is not None:
        content["text_encoder_2"] = second
        content["tokenizer_2"] = _hash_tokenizer(tokenizer if tokenizer_2 is None else tokenizer_2)
        content["zeroes_no_negative"] = zeroes_no_negative
    return digest(content)


def _hash_tokenizer(folder: Path) -> dict[str, str]:
    files = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    return {file.name: hash_files([file]) for file in files}


def check_fit(configurations: Configurations) -> None:
    """Raise InputError where UNet, VAE and text encoder are of different models."""
    unet, vae, text = configurations.unet, configurations.vae, configurations.text_encoder
    latents = vae.latent_channels
    if unet.out_channels != latents or unet.in_channels not in (latents, 2 * latents + 1):
        raise InputError(
            f"the UNet takes {unet.in_channels} and gives {unet.out_channels} channels, "
            f"which does not fit a VAE of {latents}; is this a Stable Diffusion checkpoint?"
        )
    second = configurations.text_encoder_2
    width = text.hidden_size + (0 if second is None else second.hidden_size)
    if unet.cross_attention_dim != width:
        writers = "the text encoder writes" if second is None else "the text encoders write"
        raise InputError(
            f"the UNet reads texts of width {unet.cross_attention_dim}, {writers} {width}; the folder mixes two models"
        )
    _check_second(unet, second)


def _check_second(unet: UNetConfig, second: Optional[CLIPTextConfig]) -> None:
    """Raise InputError where a UNet reads a text's vector that no text encoder writes, or the other way round."""
    if unet.has_addition != (second is not None):
        reads = "reads" if unet.has_addition else "does not read"
        has = "no second text encoder" if second is None else "a second text encoder"
        raise InputError(f"the UNet {reads} a vector of the text, and the model has {has}; the folder mixes two models")
    if second is not None:
        try:
            unet.count_sizes(second.projection_dim)
        except ValueError as error:
            raise InputError(f"the second text encoder is not the UNet's: {error}") from None
