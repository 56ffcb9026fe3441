"""LoRA files out, under diffusers' names or kohya's, in full or half precision: the same bytes for the same LoRA.

diffusers' names are read by all loaders, but not all of them look for an alpha there: a scale other than 1 goes into B.
kohya's names are those of sd-scripts, AUTOMATIC1111's web UI and ComfyUI, and every layer has its alpha.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

import ml_dtypes
import numpy as np

from jstyle.adapters.lora import Lora, LowRank
from jstyle.adapters.lora_keys import COMPONENTS, flatten_name, list_names
from jstyle.adapters.sources import LORA_FILE
from jstyle.files import make_folder
from jstyle.settings.vocabulary import LoraFormat, Precision
from jstyle.weights.tensors import write_tensors

HEADER = "lora_adapter_metadata"
"""The entry of a file's metadata in which diffusers keeps peft's configuration."""

_DTYPES: Mapping[Precision, Any] = {"fp32": np.float32, "fp16": np.float16, "bf16": ml_dtypes.bfloat16}


def write(
    lora: Lora[LowRank],
    folder: Path,
    format: LoraFormat = "diffusers",
    precision: Precision = "fp32",
    about: Optional[Mapping[str, str]] = None,
) -> Path:
    """Write ``pytorch_lora_weights.safetensors`` and return the file.

    ``about`` is what kohya's format says of the training, by names that begin with ``ss_``; diffusers' has no place for
    it. Raises InputError when it cannot be written.
    """
    named, metadata = (_name_as_kohya, _describe_as_kohya) if format == "kohya" else (_name_as_diffusers, _describe)
    arrays = {}
    for component in COMPONENTS:
        for path, change in lora.of(component).items():
            for name, array in named(component, path, change, bool(lora.text_encoder_2)):
                arrays[name] = array.astype(_DTYPES[precision]) if array.ndim else array  # an alpha is exact
    make_folder(folder)
    write_tensors(arrays, folder / LORA_FILE, metadata(lora, about or {}))
    return folder / LORA_FILE


def _name_as_diffusers(component: str, path: str, change: LowRank, of_two: bool) -> Iterator[tuple[str, np.ndarray]]:
    yield f"{component}.{path}.lora_A.weight", np.array(change.down.numpy())
    yield f"{component}.{path}.lora_B.weight", (np.array(change.up.numpy()) * change.scale).astype(np.float32)


def _name_as_kohya(component: str, path: str, change: LowRank, of_two: bool) -> Iterator[tuple[str, np.ndarray]]:
    name = flatten_name(component, path, of_two)
    yield f"{name}.lora_down.weight", np.array(change.down.numpy())
    yield f"{name}.lora_up.weight", np.array(change.up.numpy())
    yield f"{name}.alpha", np.asarray(change.alpha, np.float32)


def _describe(lora: Lora[LowRank], about: Mapping[str, str]) -> dict[str, str]:
    """diffusers' header: peft's configuration of each component. The alpha is the rank, as the scale is in B.

    Layers go by the shortest of their names, which peft finds in the text encoders of every version of transformers.
    """
    entries: dict[str, Any] = {}
    for component in COMPONENTS:
        ranks = {list_names(component, path)[-1]: change.rank for path, change in lora.of(component).items()}
        if ranks:
            usual = _find_usual(ranks)
            others = {path: rank for path, rank in ranks.items() if rank != usual}
            config = {"peft_type": "LORA", "r": usual, "lora_alpha": usual, "target_modules": sorted(ranks)}
            config.update(rank_pattern=others, alpha_pattern=others)
            entries.update({f"{component}.{key}": value for key, value in config.items()})
    return {"format": "pt", HEADER: json.dumps(entries, indent=2, sort_keys=True)}


def _describe_as_kohya(lora: Lora[LowRank], about: Mapping[str, str]) -> dict[str, str]:
    """kohya's header: the network's module, its usual rank and alpha, and what is told of the training."""
    changes = {(component, path): change for component in COMPONENTS for path, change in lora.of(component).items()}
    return {
        "format": "pt",
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(_find_usual({path: change.rank for path, change in changes.items()})),
        "ss_network_alpha": str(_find_usual({path: change.alpha for path, change in changes.items()})),
        **about,
    }


def _find_usual(values: Mapping[Any, Any]) -> Any:
    """The value that most have."""
    return Counter(values.values()).most_common(1)[0][0]
