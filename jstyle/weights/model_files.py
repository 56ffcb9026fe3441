"""A model as it lies on disk: a folder in diffusers' layout, or a single file. Looking at it starts no Jittor."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

from jstyle.errors import InputError
from jstyle.networks.config import VAEConfig
from jstyle.settings.model import ModelSettings
from jstyle.weights import fetching, hub
from jstyle.weights.configuration import (
    Configurations,
    check_fit,
    hash_configuration,
    read_configurations,
    read_network,
)
from jstyle.weights.header import is_pickle_name
from jstyle.weights.known_words import read_words
from jstyle.weights.single_file.reading import read_single_file, store_vae
from jstyle.weights.stored import NETWORKS, StoredNetwork, store_folder


@dataclass(frozen=True)
class ModelFiles:
    """What a model consists of, and where it lies."""

    configurations: Configurations
    networks: Mapping[str, StoredNetwork]
    """Where the weights of each part are."""

    tokenizer: Path
    """The folder of the tokenizer."""

    words: Optional[frozenset[str]] = None
    """The words that it was taught, where its folder lists them."""

    folder: Optional[Path] = None
    """In diffusers' layout, where all of the model is in one."""

    tokenizer_2: Optional[Path] = None
    """The folder of SDXL's second tokenizer."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of weights, each once."""
        return list_files(self.networks)

    @property
    def configuration(self) -> str:
        """SHA-256 over all that the model is beside its weights (`hash_configuration`)."""
        read = self.configurations
        return hash_configuration(
            read.schedule, read.networks, self.tokenizer, self.tokenizer_2, read.zeroes_no_negative
        )


def list_files(networks: Mapping[str, StoredNetwork]) -> tuple[Path, ...]:
    """The files that hold a model's networks, each once, in the order in which the model's hash takes them."""
    parts = [networks[part] for part in NETWORKS if part in networks]
    return tuple(dict.fromkeys(file for part in parts for file in part.files))


def locate_model(settings: ModelSettings) -> ModelFiles:
    """The model that settings name, with the VAE and the prediction type that they name in the place of its own.

    What is missing of a hub's model is fetched. Raises InputError where there is no such model, for files that are
    missing, damaged or pickles, and where parts do not fit each other.
    """
    file = find_single_file(settings)
    found = _read_folder(settings) if file is None else _read_file(file, settings)
    if settings.vae_weights is not None:
        found = _replace_vae(found, settings.vae_weights, settings.variant)
    return found


def find_single_file(settings: ModelSettings) -> Optional[Path]:
    """The single file that the settings' model is; None for a folder, the embedded model and a hub id.

    One of the hub is fetched. Raises InputError for a pickle of the hub, for an address of another site, and where
    settings ask of a file, or of a folder, what the other has.
    """
    model = str(settings.model)
    path, of_hub = Path(os.path.expanduser(model)), hub.parse_hub_file(model)
    if of_hub is None and not path.is_file():
        if model.startswith(("http://", "https://")):
            raise InputError(f"{model} is no file of the hub: download it, and name the file")
        if hub.is_weights_name(model) and not path.exists():
            raise InputError(f"there is no file {model!r}: check the path of the model")
        if settings.base_model is not None:
            raise InputError(f"base_model is for a model in a single file, and {model!r} is none: leave it out")
        return None
    if settings.variant is not None:
        raise InputError(
            f"a variant ({settings.variant!r}) can only be asked of a folder or hub id; {model!r} is a file"
        )
    if of_hub is None:
        if settings.revision is not None:
            raise InputError(f"a revision ({settings.revision!r}) can only be asked of a hub id; {model!r} is a file")
        return path
    repository, name, revision = of_hub
    if is_pickle_name(name):
        raise InputError(
            f"{name} is a pickle, which could run any code and is not read; download it "
            f"(hf download {repository} {name} --local-dir .), then convert it: jstyle convert {name}"
        )
    return fetching.fetch_file(repository, name, revision=settings.revision or revision)


def _read_file(file: Path, settings: ModelSettings) -> ModelFiles:
    read, networks, tokenizer, second = read_single_file(file, settings)
    return ModelFiles(read, networks, tokenizer, tokenizer_2=second)


def _read_folder(settings: ModelSettings) -> ModelFiles:
    folder = hub.locate(str(settings.model), revision=settings.revision, variant=settings.variant)
    read = read_configurations(folder)
    if settings.prediction_type is not None:
        read = replace(read, schedule=replace(read.schedule, prediction_type=settings.prediction_type))
    parts = [part for part in NETWORKS if getattr(read, part) is not None]
    networks = {part: store_folder(part, folder / part, settings.variant) for part in parts}
    second = None if read.text_encoder_2 is None else folder / "tokenizer_2"
    return ModelFiles(read, networks, folder / "tokenizer", read_words(folder), folder, second)


def _replace_vae(found: ModelFiles, vae: str, variant: Optional[str]) -> ModelFiles:
    """The model with the VAE of a file, a folder or a hub id; a file's is of the model's configuration."""
    path = Path(os.path.expanduser(vae))
    if path.is_file():
        config = found.configurations.vae
        stored = store_vae(path, config, "the configuration of the model's own")
    else:
        folder = hub.locate_part(vae, "vae", variant=variant)
        config, stored = read_network(VAEConfig, folder), store_folder("vae", folder, variant)
    read = replace(found.configurations, vae=config)
    check_fit(read)
    return replace(found, configurations=read, networks={**found.networks, "vae": stored}, folder=None)
