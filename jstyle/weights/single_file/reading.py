"""From a single file to what a model is: configurations, networks and tokenizer. Free of Jittor."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.errors import InputError
from jstyle.networks.config import CLIPTextConfig, UNetConfig, VAEConfig
from jstyle.settings.model import ModelSettings
from jstyle.weights import fetching, hub
from jstyle.weights.configuration import Configurations, check_fit, read_network, read_zeroes
from jstyle.weights.single_file import names
from jstyle.weights.single_file.contents import OPEN_CLIP, VAE, Contents, read_contents
from jstyle.weights.single_file.families import (
    TWO,
    USUAL_VAE,
    Family,
    choose_schedule,
    find_family,
    list_configurations,
)
from jstyle.weights.stored import Layout, StoredNetwork, store_folder
from jstyle.weights.tensors import FileTensors, rename_vae

_NOTHING = re.compile(r"(?!)")
_VAE_IGNORED = re.compile(r"(loss|model_ema)\.")
_CLIP_IGNORED = re.compile(r"(text_model\.)?embeddings\.position_ids$|(text_projection|logit_scale)")
_OPEN_CLIP_IGNORED = re.compile(r"(logit_scale|attn_mask)$")
_KINDS = {"unet": UNetConfig, "vae": VAEConfig, "text_encoder": CLIPTextConfig, "text_encoder_2": CLIPTextConfig}
_LABELS = {"unet": "UNet", "vae": "VAE", "text_encoder": "text encoder", "text_encoder_2": "second text encoder"}
_ASKED = "say which: --prediction_type epsilon or v_prediction (prediction_type= in Python)"


def read_single_file(
    file: Path, settings: ModelSettings
) -> tuple[Configurations, dict[str, StoredNetwork], Path, Optional[Path]]:
    """Configurations, the networks by their parts' names, and the folders of the tokenizer and, of SDXL, of the second
    one, of a file that settings name.

    What the file lacks is the base model's: configurations, networks, tokenizers. Without a base model the
    configurations of Stable Diffusion 1.x, 2.x and XL are known, and their tokenizers are the hub's. Raises InputError
    where the file is of another kind, something is missing, or what the UNet predicts is not known.
    """
    contents = read_contents(file)
    lacking = [part for part, prefix in contents.parts.items() if prefix is None]
    if settings.vae_weights is not None and "vae" in lacking:
        lacking.remove("vae")
    base = _locate_base(settings, lacking, file)
    family = find_family(contents.text_width)
    configurations, described = _configure(contents, family, base, settings.prediction_type)
    networks = dict(_lay_out(contents, configurations, described))
    if base is not None:
        networks.update({part: store_folder(part, base / part) for part in lacking})
    second = _find_tokenizer(file, family, base, "tokenizer_2") if contents.is_xl else None
    return configurations, networks, _find_tokenizer(file, family, base, "tokenizer"), second


def store_vae(file: Path, config: VAEConfig, described_by: str) -> StoredNetwork:
    """The VAE in a file: of a whole checkpoint, or alone, under the original names or diffusers'.

    Raises InputError for a file that is damaged or holds none.
    """
    shapes = FileTensors([file]).shapes()
    for prefix in (VAE, ""):
        if any(name.startswith((f"{prefix}encoder.down.", f"{prefix}decoder.up.")) for name in shapes):
            layout = Layout(prefix, names.find_vae_names(config), _VAE_IGNORED)
            return StoredNetwork((file,), described_by, layout=layout)
    if any(name.startswith(("encoder.down_blocks.", "decoder.up_blocks.")) for name in shapes):
        return StoredNetwork((file,), described_by, rename_vae)
    raise InputError(f"{file} holds no VAE of Stable Diffusion, whose keys begin with encoder.down. and decoder.up.")


def _locate_base(settings: ModelSettings, lacking: list[str], file: Path) -> Optional[Path]:
    """The base model's folder. Raises InputError where there must be one, for what the file lacks, and is none."""
    if settings.base_model is not None:
        return hub.locate_base(settings.base_model, parts=lacking)
    if lacking:
        parts = " and no ".join(_LABELS[part] for part in lacking)
        raise InputError(
            f"{file} holds no {parts}: give --base_model (config= in Python), a folder or hub id in diffusers' layout "
            "whose own is taken"
        )
    return None


def _configure(
    contents: Contents, family: Optional[Family], base: Optional[Path], prediction: Optional[str]
) -> tuple[Configurations, dict[str, str]]:
    """The configurations, and what says each network's: the base model's where it has them, else the family's.

    How many channels the UNet takes, and what it predicts, the file says itself where it does.
    """
    schedule = _complete_schedule(contents, family, base, prediction)
    found: dict[str, Any] = {} if family is None else list_configurations(family, schedule)
    described = dict.fromkeys(found, "" if family is None else family.name)
    for part in contents.parts:
        kind = _KINDS[part]
        if base is not None and (base / part / "config.json").is_file():
            found[part], described[part] = read_network(kind, base / part), str(base / part / "config.json")
    if not set(contents.parts) <= set(found):
        raise InputError(
            f"{contents.file} is of no shape that is known: its UNet reads texts of width {contents.text_width}, that "
            "of Stable Diffusion 1.x 768, of 2.x 1024, of XL 2048; give --base_model (config= in Python), a folder or "
            "hub id in diffusers' layout that is of its shape"
        )
    found["unet"] = configure_channels(found["unet"], contents)
    zeroes = contents.is_xl and (base is None or read_zeroes(base / "model_index.json"))
    configurations = Configurations(schedule, **found, zeroes_no_negative=zeroes)
    check_fit(configurations)
    return configurations, described


def configure_channels(unet: UNetConfig, contents: Contents) -> UNetConfig:
    """The configuration with as many channels as the file's UNet takes. Raises InputError for an impossible number."""
    try:
        return replace(unet, in_channels=contents.channels)
    except ValueError as error:
        raise InputError(f"{contents.file}: its UNet's first layer has no shape that one can have ({error})") from None


def lay_out_unet(contents: Contents, config: UNetConfig, described_by: str) -> StoredNetwork:
    """The UNet that a file holds, under the original names or diffusers'."""
    if contents.is_renamed:
        return StoredNetwork((contents.file,), described_by)
    unet = Layout(contents.unet or "", names.find_unet_names(config), _NOTHING)
    return StoredNetwork((contents.file,), described_by, layout=unet)


def _complete_schedule(
    contents: Contents, family: Optional[Family], base: Optional[Path], prediction: Optional[str]
) -> ScheduleConfig:
    """The noise schedule. Raises InputError where nothing, or more than one thing, says what the UNet predicts."""
    file = None if base is None else base / "scheduler" / "scheduler_config.json"
    read = ScheduleConfig.read(file) if file is not None and file.is_file() else None
    said = contents.predictions
    if prediction is not None:
        said = {prediction}
    elif not said and read is not None:
        said = {read.prediction_type}
    elif not said and (family is not TWO or contents.channels > USUAL_VAE.latent_channels):
        said = {"epsilon"}  # as all of 1.x, and the models for inpainting, do
    if len(said) != 1:
        spoken = "its metadata and keys contradict each other on" if said else "nothing in it says"
        raise InputError(f"{contents.file}: {spoken} whether the UNet predicts epsilon or v; {_ASKED}")
    schedule = replace(read or choose_schedule(family, next(iter(said))), prediction_type=next(iter(said)))
    if contents.is_zero_snr:
        schedule = replace(schedule, sampler="ddim", timestep_spacing="trailing", rescale_betas_zero_snr=True)
    return schedule


def _lay_out(
    contents: Contents, configurations: Configurations, described: Mapping[str, str]
) -> Iterator[tuple[str, StoredNetwork]]:
    """The networks that the file holds, by their parts' names."""
    files = (contents.file,)
    yield "unet", lay_out_unet(contents, configurations.unet, described["unet"])
    if contents.vae is not None:
        yield "vae", store_vae(contents.file, configurations.vae, described["vae"])
    if contents.text_encoder == OPEN_CLIP:
        last = configurations.text_encoder.num_hidden_layers  # after those that the text is taken from
        unused = re.compile(rf"(text_projection|logit_scale|attn_mask|transformer\.resblocks\.{last}\.)")
        text = Layout(OPEN_CLIP, names.find_open_clip_names, unused)
        yield "text_encoder", StoredNetwork(files, described["text_encoder"], layout=text)
    elif contents.text_encoder is not None:
        prefix = contents.text_encoder
        has_prefix = any(name.startswith(f"{prefix}text_model.") for name in contents.shapes)
        place = names.find_clip_names if has_prefix else names.find_short_clip_names
        text = Layout(prefix, place, _CLIP_IGNORED)
        yield "text_encoder", StoredNetwork(files, described["text_encoder"], layout=text)
    if contents.text_encoder_2 is not None and contents.is_xl:
        text = Layout(contents.text_encoder_2, names.find_open_clip_names, _OPEN_CLIP_IGNORED)
        yield "text_encoder_2", StoredNetwork(files, described["text_encoder_2"], layout=text)


def _find_tokenizer(file: Path, family: Optional[Family], base: Optional[Path], folder: str) -> Path:
    """The base model's, or the family's on the hub. Raises InputError where it has none, or cannot be fetched."""
    if base is not None and (base / folder).is_dir():
        return base / folder
    if family is None:
        raise InputError(f"{base} has no {folder}, and {file} is of no family whose tokenizer is known")
    try:
        return hub.locate_base(family.home) / folder
    except fetching.NotHere as error:
        raise fetching.NotHere(f"{file} has no tokenizer, as no single file has, and {error}") from None
    except InputError as error:
        raise InputError(
            f"{file} has no tokenizer, as no single file has; {error}; or give --base_model (config= in Python), any "
            f"folder of {family.name} in diffusers' layout"
        ) from error
