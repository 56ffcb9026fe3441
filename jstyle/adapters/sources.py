"""The file that a LoRA or a word lies in: named itself, or one of a folder or of a repository of the hub."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from jstyle.errors import InputError
from jstyle.settings.adapted import PEFT_CONFIG
from jstyle.settings.arguments import read_yes, refuse_unknown
from jstyle.settings.messages import suggest
from jstyle.weights.fetching import fetch_chosen
from jstyle.weights.header import is_pickle_name, refuse_pickle
from jstyle.weights.hub import is_hub_id, parse_hub_file
from jstyle.weights.telling import LOCAL, WITHOUT_EFFECT

_HUB = ("revision", "cache_dir", "token", "force_download", LOCAL)
_WITHOUT_MEANING = (WITHOUT_EFFECT - {*_HUB}) | {"unet_config", "user_agent"}
"""Options of diffusers' loaders that decide nothing here: only safetensors are read, and the hub's variables apply."""

LORA_FILE = "pytorch_lora_weights.safetensors"
WORD_FILE = "learned_embeds.safetensors"

_PEFT_FILE = "adapter_model.safetensors"

BUNDLED = "bundle_emb."
"""Before the names of the words that OneTrainer puts into a LoRA's file: bundle_emb.WORD.clip_l."""

_BUNDLED_END = ".clip_l"  # others are for other text encoders, or for their outputs


@dataclass(frozen=True)
class Place:
    """Where in a folder or repository a file lies. ``hub`` holds huggingface_hub's options."""

    weight_name: Optional[str] = None
    subfolder: Optional[str] = None
    hub: Mapping[str, Any] = field(default_factory=dict)


def read_place(options: Mapping[str, Any], named: Iterable[str] = ()) -> Place:
    """The options of diffusers' loaders.

    Raises InputError for one that there is not; ``named`` are the arguments that the loader has besides.
    """
    refuse_unknown("loading", options, [*named, "weight_name", "subfolder", *_HUB, *sorted(_WITHOUT_MEANING)])
    if options.get(LOCAL) is not None:
        read_yes(LOCAL, options[LOCAL])
    hub = {name: value for name, value in options.items() if name in _HUB and value is not None}
    return Place(options.get("weight_name"), options.get("subfolder"), hub)


def find_file(source: Union[str, Path], names: Sequence[str], what: str, place: Optional[Place] = None) -> Path:
    """The file itself; of a folder or a hub id `owner/name` the first of ``names``, or else its only safetensors file.

    ``place`` may name the file, or a folder in it. From the hub that file alone is fetched, with peft's configuration.
    Raises InputError where there is none, several, or only a pickle, and where it cannot be fetched; ``what`` is it of,
    such as "a LoRA".
    """
    place = place or Place()
    here = Path(os.path.expanduser(source))
    if here.is_file():
        if place.subfolder or place.weight_name not in (None, here.name):
            raise InputError(f"{here} is a file: leave out weight_name and subfolder, or name its folder")
        return here
    on_hub = parse_hub_file(source) if isinstance(source, str) else None
    if on_hub is not None and place.weight_name is None:  # owner/name/FILE.safetensors, or a file's address
        source, name, revision = on_hub
        place = replace(place, weight_name=name, hub={"revision": revision, **place.hub})
    if isinstance(source, str) and is_hub_id(source):
        here = _fetch(source, names, what, place)
    elif not here.is_dir():
        raise InputError(f"there is no file {here}; give {what}'s safetensors file, its folder or a hub id")
    folder = here / (place.subfolder or "")
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; leave out subfolder, or correct it")
    present = [path.name for path in folder.iterdir() if path.is_file()]
    file = folder / _choose(place.weight_name, present, names, what, str(folder))
    if not file.is_file():
        raise InputError(f"there is no file {file}; correct weight_name, or leave it out")
    return file


def find_lora(source: Union[str, Path], place: Optional[Place] = None) -> Path:
    """The file of a LoRA: diffusers', peft's, or a folder's only one. Raises InputError as `find_file`."""
    return find_file(source, (LORA_FILE, _PEFT_FILE), "a LoRA", place)


def find_word(source: Union[str, Path], place: Optional[Place] = None) -> Path:
    """The file of a word: diffusers', or a folder's only one. Raises InputError as `find_file`."""
    return find_file(source, (WORD_FILE,), "a textual inversion", place)


def list_bundled_words(names: Iterable[str]) -> dict[str, str]:
    """The words that a LoRA's file brings for this kind of text encoder, each with its array's name."""
    ours = [name for name in names if name.startswith(BUNDLED) and name.endswith(_BUNDLED_END)]
    return {name[len(BUNDLED) : -len(_BUNDLED_END)]: name for name in ours}


def to_arrays(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Named arrays in memory, Jittor's, NumPy's or another library's. Raises InputError for what is no array."""
    arrays = {}
    for name, value in state.items():
        array = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
        if not isinstance(name, str) or array.dtype == object:
            raise InputError(f"{name!r:.80} is no array by its name; give those that a file holds")
        arrays[name] = array
    return arrays


def is_array(source: Any) -> bool:
    """Whether a source is an array itself, of any library."""
    return hasattr(source, "shape") and not isinstance(source, Mapping)


def name_rows(array: Any, token: Union[str, Sequence[str], None]) -> list[dict[str, Any]]:
    """An array under the token that it is the vectors of, or, for a list of tokens, a row of it under each.

    Raises InputError where there is no token, and for another number of rows.
    """
    if token is None:
        raise InputError("vectors alone do not say their word; give one, such as token='<style>'")
    rows = np.asarray(array.numpy() if hasattr(array, "numpy") else array)
    if isinstance(token, str):
        return [{token: rows}]
    if rows.ndim != 2 or len(rows) != len(token):
        raise InputError(f"vectors {list(rows.shape)} are not a row for each of {len(token)} tokens")
    return [{name: row} for name, row in zip(token, rows)]


def _fetch(model: str, names: Sequence[str], what: str, place: Place) -> Path:
    """The folder of a repository of which the file, and peft's configuration, were fetched."""
    prefix = f"{place.subfolder.strip('/')}/" if place.subfolder else ""

    def choose_names(files: Sequence[str]) -> list[str]:
        present = [name[len(prefix) :] for name in files if name.startswith(prefix)]
        if place.weight_name is None:
            present = [name for name in present if "/" not in name]
        chosen = _choose(place.weight_name, present, names, what, f"{model}/{prefix}".rstrip("/"))
        return [prefix + chosen, prefix + PEFT_CONFIG]

    return fetch_chosen(model, choose_names, **place.hub)


def _choose(wanted: Optional[str], present: Sequence[str], names: Sequence[str], what: str, where: str) -> str:
    """One of a place's files. Raises InputError where there is none, or several that could be meant."""
    if wanted is not None:
        if is_pickle_name(wanted):
            raise refuse_pickle(Path(where) / wanted)
        if wanted not in present and "/" not in wanted:
            raise InputError(f"there is no {wanted} in {where}; {suggest(wanted, sorted(present))}")
        return wanted
    for name in names:
        if name in present:
            return name
    found = sorted(name for name in present if name.endswith(".safetensors"))
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(found[:3])
        advice = f"name one of them, {where}/{found[0]}, or weight_name= in Python"
        raise InputError(f"{where} holds {len(found)} safetensors files ({listed}); {advice}")
    pickles = sorted(name for name in present if is_pickle_name(name))
    if pickles:
        raise refuse_pickle(Path(where) / pickles[0])
    raise InputError(f"there is no file {names[0]} in {where}; give {what}'s safetensors file or its folder")
