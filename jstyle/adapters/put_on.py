"""What settings name to be put on a model: fetched, loaded onto a pipeline, and hashed for what is only planned."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from jstyle.adapters.sources import find_lora, find_word
from jstyle.settings.adapted import AdaptedModelSettings, hash_adapter, split_source
from jstyle.settings.model import ModelSettings, NamesModel
from jstyle.weights.hub import is_hub_id, parse_hub_file
from jstyle.weights.tensors import FileTensors


def fetch_adapters(model: AdaptedModelSettings) -> AdaptedModelSettings:
    """The settings with files in the place of hub ids: a LoRA or word that is not here by that name is fetched.

    Raises InputError where there is none of that id, and where it cannot be fetched.
    """
    return replace(
        model,
        lora=tuple(_fetch(text, find_lora) for text in model.lora),
        words=tuple(_fetch(text, find_word) for text in model.words),
    )


def _fetch(text: str, find: Callable[[str], Path]) -> str:
    source, word = split_source(text)
    is_of_hub = is_hub_id(source) or parse_hub_file(source) is not None
    if not is_of_hub or Path(source.partition("/")[0]).is_dir():
        return text
    return f"{find(source)}:{word}" if word else str(find(source))


def hash_adapted(model_hash: str, model: NamesModel) -> str:
    """What a model of that hash is called with all on it that the settings name; nothing is loaded.

    Raises InputError for what is not there, and for files and folders that hold no weights.
    """
    if not isinstance(model, AdaptedModelSettings) or not (model.lora or model.words):
        return model_hash
    model.check_files()
    for paths, find in ((model.list_loras(), find_lora), (model.list_words(), find_word)):
        for path, _ in paths:
            FileTensors([find(path)])  # refuses what is no safetensors file
    parts: list[Any] = [model_hash]
    parts += [["lora", hash_adapter(path), weight] for path, weight in model.list_loras()]
    parts += [["word", hash_adapter(path), name] for path, name in model.list_words()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def put_on(pipe: Any, model: ModelSettings) -> bool:
    """Load all that the settings name onto a pipeline (`AdapterLoading`); returns whether there is anything.

    Raises InputError as its methods do.
    """
    if not isinstance(model, AdaptedModelSettings) or not (model.lora or model.words):
        return False
    model.check_files()
    names = [f"lora_{number}" for number, _ in enumerate(model.lora, 1)]
    for name, (path, _) in zip(names, model.list_loras()):
        pipe.load_lora_weights(path, adapter_name=name)
    if names:
        pipe.set_adapters(names, [weight for _, weight in model.list_loras()])
    for path, name in model.list_words():
        pipe.load_textual_inversion(path, token=name or None)
    return True
