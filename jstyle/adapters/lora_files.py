"""Adapters' files, read in diffusers' formats, of today and older, in peft's, kohya's and LyCORIS'."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional, Union

from jstyle.adapters.changes import Change
from jstyle.adapters.kinds import read_change
from jstyle.adapters.lora import Lora, layers, norms
from jstyle.adapters.lora_config import parse_config, read_config, select_entries
from jstyle.adapters.lora_keys import COMPONENTS, PEFT_PREFIX, list_names, sort_keys
from jstyle.adapters.lora_writing import HEADER
from jstyle.adapters.sources import BUNDLED, Place, find_lora, list_bundled_words
from jstyle.adapters.stored_layers import StoredLayer
from jstyle.errors import InputError, InputWarning
from jstyle.runtime import jt
from jstyle.settings.adapted import PEFT_CONFIG
from jstyle.weights.tensors import FileTensors, Tensors

_LARGEST_CONFIG = 1 << 24  # bytes


def read(
    source: Union[str, Path],
    unet: jt.Module,
    text_encoder: jt.Module,
    place: Optional[Place] = None,
    *,
    text_encoder_2: Optional[jt.Module] = None,
) -> Lora[Change]:
    """The adapter in a safetensors file, a folder or a hub's repository: diffusers', peft's, or its only one.

    Raises InputError where there is no such file, for a file of peft's without its ``adapter_config.json``, and as
    ``parse`` does.
    """
    file, tensors, header = open_file(source, place)
    return parse(tensors, unet, text_encoder, header, str(file), text_encoder_2=text_encoder_2)


def open_file(source: Union[str, Path], place: Optional[Place] = None) -> tuple[Path, FileTensors, dict[str, Any]]:
    """The file that ``read`` reads, its arrays, and peft's configuration in its header or beside it."""
    file = find_lora(source, place)
    tensors = FileTensors([file])
    try:
        return file, tensors, _read_peft_config(file) if _is_peft(tensors) else parse_config(_read_header(tensors))
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def parse(
    tensors: Tensors,
    unet: jt.Module,
    text_encoder: jt.Module,
    metadata: Optional[Mapping[str, Any]] = None,
    what: str = "the LoRA",
    *,
    text_encoder_2: Optional[jt.Module] = None,
) -> Lora[Change]:
    """The adapter that the named arrays make up; ``metadata`` is peft's configuration, as diffusers writes it.

    No array is read whose shape does not fit its layer. Raises InputError, naming the key, for what does not belong to
    these networks, is of no kind that is read, or holds numbers that are not finite.
    """
    networks = {"unet": unet, "text_encoder": text_encoder}
    if text_encoder_2 is not None:
        networks["text_encoder_2"] = text_encoder_2
    known = {component: {**layers(network), **norms(network)} for component, network in networks.items()}
    changes: dict[str, dict[str, Change]] = {component: {} for component in COMPONENTS}
    try:
        sorted_keys = sort_keys((key for key in tensors.shapes() if not key.startswith(BUNDLED)), known, unet.config)
        configs = {
            component: read_config(select_entries(metadata or {}, component, COMPONENTS))
            for component in {component for component, _ in sorted_keys}
        }
        for (component, path), keys in sorted_keys.items():
            base, names = known[component][path], list_names(component, path)
            stored = StoredLayer(tensors, keys, base, configs[component], names)
            changes[component][path] = read_change(stored)
    except InputError as error:
        raise InputError(f"{what}: {error}") from None
    bundled = list_bundled_words(tensors.shapes())
    if bundled:
        listed = ", ".join(sorted(bundled)[:5])
        warnings.warn(
            f"{what} brings words ({listed}); --words with this file (load_textual_inversion in Python) learns them",
            InputWarning,
            2,
        )
    return Lora(**changes)


def _read_header(tensors: FileTensors) -> bytes:
    return tensors.metadata.get(HEADER, "{}").encode("utf-8", "surrogatepass")


def _is_peft(tensors: Tensors) -> bool:
    return any(key.startswith(PEFT_PREFIX) for key in tensors.shapes())


def _read_peft_config(file: Path) -> dict[str, Any]:
    """The configuration that lies beside a file of peft's, which alone says how strong the LoRA is."""
    config = file.with_name(PEFT_CONFIG)
    if not config.is_file():
        raise InputError(f"its alpha is in peft's {PEFT_CONFIG}, which is missing beside it; put it there")
    if config.stat().st_size > _LARGEST_CONFIG:
        raise InputError(f"the {PEFT_CONFIG} beside it is too large to be one; save the LoRA again")
    found = parse_config(config.read_bytes())
    read_config(found)  # another kind's name says more than that its arrays are unknown
    return found
