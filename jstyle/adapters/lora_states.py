"""A trained LoRA as named matrices, and in a file, by the functions that scripts for peft and diffusers call.

    state = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    LoraLoaderMixin.save_lora_weights("outputs/lora", unet_lora_layers=state)

Names: ``....to_q.lora_A.weight`` as peft has them, ``....to_q.lora.down.weight`` as diffusers does. Where alpha is not
the rank, ``....to_q.alpha`` says how strong the change is, which peft leaves to its configuration.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from jstyle.adapters.added import read_changes
from jstyle.adapters.lora_config import read_config
from jstyle.adapters.lora_keys import list_names
from jstyle.adapters.sources import LORA_FILE
from jstyle.errors import InputError, InputWarning
from jstyle.files import make_folder
from jstyle.networks.adaptable import list_adapters
from jstyle.runtime import jt
from jstyle.settings.messages import suggest
from jstyle.weights.tensors import to_numbers, write_tensors

State = Mapping[str, Any]
"""Matrices by name, Vars or NumPy's."""

_PEFT_KEY = re.compile(r"(?P<layer>.+)\.lora_(?P<matrix>[AB])(?P<adapter>\.[^.]+)?\.weight")
_DIFFUSERS_KEY = re.compile(r".+\.(lora|lora_linear_layer)\.(up|down)\.weight")
_UP_KEY = re.compile(r"(?P<layer>.+)\.(lora_B|lora\.up|lora_linear_layer\.up)\.weight")
_RENAMED = {
    **dict.fromkeys((".q_proj", ".k_proj", ".v_proj", ".out_proj"), "lora_linear_layer"),
    **dict.fromkeys(("to_q", "to_k", "to_v", "to_out.0"), "lora"),
}
"""The layers, by the ends of their paths, whose matrices have names of diffusers' own, and the word in these."""


def get_peft_model_state_dict(network: jt.Module, adapter_name: str = "default") -> dict[str, Any]:
    """An adapter's matrices under peft's names, ``lora_A`` (rank, in) and ``lora_B`` (out, rank).

    They are the parameters themselves, not copies. Raises InputError where the network has no such adapter.
    """
    changes = read_changes(network, adapter_name)
    if not changes:
        have = list_adapters(network)
        raise InputError(f"the network has no adapter {adapter_name!r}; {suggest(adapter_name, have)}")
    state: dict[str, Any] = {}
    for path, change in changes.items():
        state[f"{path}.lora_A.weight"], state[f"{path}.lora_B.weight"] = change.down, change.up
        if change.scale != 1:
            state[f"{path}.alpha"] = np.float32(change.alpha)
    return state


def convert_state_dict_to_diffusers(state_dict: State, adapter_name: Optional[str] = None) -> dict[str, Any]:
    """The same matrices under diffusers' names; those that have them already are left alone.

    ``adapter_name`` is left out where it is part of the names. Raises InputError for names that are neither's.
    """
    if all(_DIFFUSERS_KEY.fullmatch(key) for key in state_dict if not key.endswith(".alpha")):
        return dict(state_dict)
    if not any(_PEFT_KEY.fullmatch(key) for key in state_dict):
        raise InputError("these are no names of peft's, which get_peft_model_state_dict gives")
    return {_rename(key, adapter_name): matrix for key, matrix in state_dict.items()}


def _rename(key: str, adapter_name: Optional[str]) -> str:
    match = _PEFT_KEY.fullmatch(key)
    if match is None:
        return key
    adapter = "" if match["adapter"] == f".{adapter_name}" else match["adapter"] or ""
    word = next((word for end, word in _RENAMED.items() if match["layer"].endswith(end)), None)
    if word is None:
        return f"{match['layer']}.lora_{match['matrix']}{adapter}.weight"
    return f"{match['layer']}.{word}.{'down' if match['matrix'] == 'A' else 'up'}{adapter}.weight"


class LoraLoaderMixin:
    """Where diffusers keeps the function that writes a trained LoRA; pipelines read it by ``load_lora_weights``."""

    @staticmethod
    def save_lora_weights(
        save_directory: Union[str, Path],
        unet_lora_layers: Optional[State] = None,
        text_encoder_lora_layers: Optional[State] = None,
        is_main_process: bool = True,
        weight_name: Optional[str] = None,
        save_function: Any = None,
        safe_serialization: bool = True,
        unet_lora_adapter_metadata: Optional[Mapping[str, Any]] = None,
        text_encoder_lora_adapter_metadata: Optional[Mapping[str, Any]] = None,
        *,
        text_encoder_2_lora_layers: Optional[State] = None,
        text_encoder_2_lora_adapter_metadata: Optional[Mapping[str, Any]] = None,
    ) -> None:
        """Write ``pytorch_lora_weights.safetensors``, under the names that the matrices come with.

        How strong a layer's change is, by its ``alpha`` or by the metadata, goes into its ``up``, as all loaders read
        that. No pickle is written: ``safe_serialization=False`` gives the same file, and a warning. Raises InputError
        where there is nothing to write, for another kind of file, and when it cannot be written.
        """
        if not unet_lora_layers and not text_encoder_lora_layers and not text_encoder_2_lora_layers:
            raise InputError("give unet_lora_layers or text_encoder_lora_layers; there is nothing to write")
        name = weight_name or LORA_FILE
        if save_function is not None or not name.endswith(".safetensors"):
            raise InputError("only safetensors are written: leave out save_function, and end weight_name so")
        if not safe_serialization:
            warnings.warn(f"no pickle is written; the LoRA is in {name}", InputWarning, stacklevel=2)
        arrays = {
            **_list_arrays("unet", unet_lora_layers or {}, unet_lora_adapter_metadata),
            **_list_arrays("text_encoder", text_encoder_lora_layers or {}, text_encoder_lora_adapter_metadata),
            **_list_arrays("text_encoder_2", text_encoder_2_lora_layers or {}, text_encoder_2_lora_adapter_metadata),
        }
        folder = Path(save_directory)
        make_folder(folder)
        write_tensors(arrays, folder / name)


def _list_arrays(component: str, state: State, metadata: Optional[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The matrices of a component in fp32, by the names in the file; those of ``up`` times alpha / rank."""
    config = read_config(metadata or {})
    arrays = {}
    for key, matrix in state.items():
        if key.endswith(".alpha"):
            continue
        numbers = np.array(matrix.numpy() if isinstance(matrix, jt.Var) else matrix)
        numbers = to_numbers(numbers, key, "the training has diverged; try a lower rate")
        match = _UP_KEY.fullmatch(key)
        if match is not None:
            rank = numbers.shape[1]
            alpha = state.get(f"{match['layer']}.alpha")
            if alpha is None:
                alpha = config.find_alpha(list_names(component, match["layer"]), rank)
            numbers = numbers * np.float32(float(alpha) / rank)
        arrays[f"{component}.{key}"] = numbers
    return arrays
