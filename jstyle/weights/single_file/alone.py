"""One network of a single file, without the rest of its model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional, Union

from jstyle.errors import InputError
from jstyle.networks.config import UNetConfig, VAEConfig
from jstyle.settings.messages import show
from jstyle.settings.model import ModelSettings
from jstyle.weights import hub
from jstyle.weights.configuration import read_network
from jstyle.weights.model_files import find_single_file
from jstyle.weights.single_file.contents import XL_CLIP, XL_OPEN_CLIP, read_contents
from jstyle.weights.single_file.families import USUAL_VAE, XL, choose_schedule, find_family, list_configurations
from jstyle.weights.single_file.reading import configure_channels, lay_out_unet, store_vae
from jstyle.weights.stored import StoredNetwork
from jstyle.weights.tensors import FileTensors

_KINDS: dict[str, Any] = {"unet": UNetConfig, "vae": VAEConfig}


def find_network(
    part: str,
    source: Union[str, Path],
    config: Optional[Union[str, Path]] = None,
    subfolder: Optional[str] = None,
    revision: Optional[str] = None,
) -> tuple[Any, StoredNetwork]:
    """The configuration and the weights of the "unet" or "vae" that a single file holds.

    ``config`` and ``subfolder`` are `FromSingleFile.from_single_file`'s. Raises InputError for a file that is damaged,
    a pickle, or has none, and where its shape is of no family that is known and ``config`` is not given.
    """
    if not isinstance(source, (str, Path)):
        raise InputError(f"from_single_file wants a file, a hub's file or its address, not {show(source)}")
    file = find_single_file(ModelSettings(str(source), revision=revision))
    if file is None:
        raise InputError(f"{str(source)!r} is no file; from_pretrained loads folders and hub ids")
    read = None if config is None else _read_config(part, str(config), subfolder)
    if part == "vae":
        found, described_by = read or _describe_usual_vae(file)
        return found, store_vae(file, found, described_by)
    contents = read_contents(file)
    family = find_family(contents.text_width)
    if read is None and family is None:
        raise InputError(
            f"{file} is of no shape that is known: its UNet reads texts of width {contents.text_width}; give config=, "
            "a folder or hub id in diffusers' layout that is of its shape"
        )
    if read is None and family is not None:
        schedule = choose_schedule(family, "v_prediction" if "v_prediction" in contents.predictions else "epsilon")
        read = list_configurations(family, schedule)["unet"], family.name
    assert read is not None
    unet = configure_channels(read[0], contents)
    return unet, lay_out_unet(contents, unet, read[1])


def _describe_usual_vae(file: Path) -> tuple[VAEConfig, str]:
    """The VAE of the family that a whole checkpoint is of, which only its other networks tell apart; 1.x's alone."""
    if any(name.startswith((XL_CLIP, XL_OPEN_CLIP)) for name in FileTensors([file]).shapes()):
        return XL.vae, f"the VAE of {XL.name}"
    return USUAL_VAE, "the VAE of Stable Diffusion 1.x and 2.x"


def _read_config(part: str, config: str, subfolder: Optional[str]) -> tuple[Any, str]:
    """A network's configuration and the file that says it. Raises InputError where there is none."""
    base = hub.locate_base(config)
    places = [base / subfolder] if subfolder else [base / part, base]
    for place in places:
        if (place / "config.json").is_file():
            return read_network(_KINDS[part], place), str(place / "config.json")
    raise InputError(f"{config!r} has no config.json of a {part}; name its place with subfolder=")
