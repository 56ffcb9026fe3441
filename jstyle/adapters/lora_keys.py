"""What a LoRA's arrays are called in diffusers' formats, peft's and kohya's, and which layer each belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Optional

from jstyle.errors import InputError

COMPONENTS = ("unet", "text_encoder")
PEFT_PREFIX = "base_model.model."
"""Before every name in the files of peft's own save_pretrained."""

# What follows a layer's path. peft: lora_A, lora_B, and in memory the adapter's name behind; kohya: lora_down, lora_up;
# diffusers before 0.22: the other two.
_PART = re.compile(
    r"(?P<layer>.+?)(?:\.lora_linear_layer|\.lora|_lora)?\."
    r"(?:lora_(?P<name>A|B|down|up)(?:\.[^.]+)?\.weight|(?P<old>down|up)\.weight|(?P<alpha>alpha))"
)
_KOHYA = {"lora_unet_": "unet", "lora_te_": "text_encoder", "lora_te1_": "text_encoder"}
_TEXT_NAMES = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}
_TEXT_PREFIX = "text_model."  # which transformers 5 leaves out
_ROLES = {"A": "down", "down": "down", "B": "up", "up": "up"}

LayerPath = tuple[str, str]
"""A component and the path of a layer in it."""


def sort_keys(keys: Iterable[str], known: Mapping[str, Mapping[str, Any]]) -> dict[LayerPath, dict[str, str]]:
    """A file's keys by layer and by their role in it: "down", "up", "alpha".

    ``known`` has each component's layers by path. Raises InputError for keys that belong to none of them, for two of
    one role, and for a layer that lacks a matrix.
    """
    flat = _list_flat_names(known)
    by_layer: dict[LayerPath, dict[str, str]] = {}
    unknown: list[str] = []
    for key in keys:
        match = _PART.fullmatch(key[len(PEFT_PREFIX) :] if key.startswith(PEFT_PREFIX) else key)
        layer = None if match is None else flat.get(match["layer"]) or _find_layer(match["layer"], known)
        if match is None or layer is None:
            unknown.append(key)
            continue
        role = "alpha" if match["alpha"] else _ROLES[match["name"] or match["old"]]
        other = by_layer.setdefault(layer, {}).setdefault(role, key)
        if other != key:
            raise InputError(f"{other} and {key} mean the same; it holds several adapters: save one of them alone")
    if unknown or not by_layer:
        listed = ", ".join(key[:80] for key in unknown[:3]) or "none of a LoRA"
        raise InputError(
            f"{len(unknown)} keys fit no layer of this model ({listed}); "
            "it is for another model, or another kind of adapter"
        )
    for (_, path), roles in by_layer.items():
        if not {"down", "up"} <= set(roles):
            raise InputError(f"{path} has only one of its two matrices; fetch the file again")
    return by_layer


def list_names(component: str, path: str) -> list[str]:
    """The names under which a configuration may know a layer: transformers 5 leaves a prefix out."""
    is_short = component == "text_encoder" and path.startswith(_TEXT_PREFIX)
    return [path, path[len(_TEXT_PREFIX) :]] if is_short else [path]


def _list_flat_names(known: Mapping[str, Mapping[str, Any]]) -> dict[str, LayerPath]:
    """kohya's names of all layers."""
    return {
        prefix + name.replace(".", "_"): (component, path)
        for prefix, component in _KOHYA.items()
        for path in known[component]
        for name in list_names(component, path)
    }


def _find_layer(name: str, known: Mapping[str, Mapping[str, Any]]) -> Optional[LayerPath]:
    """The layer of that name in diffusers' formats, of which some leave out the component's name."""
    for component in COMPONENTS:
        inside = name[len(component) + 1 :] if name.startswith(f"{component}.") else name
        path = _current_path(component, inside.replace(".processor.", "."))
        if path in known[component]:
            return component, path
    return None


def _current_path(component: str, path: str) -> str:
    """A path as the networks have it, from one that may be in an older fashion."""
    head, _, last = path.rpartition(".")
    if component == "unet":
        return f"{path}.0" if last == "to_out" else path
    path = f"{head}.{_TEXT_NAMES.get(last, last)}"
    return path if path.startswith(_TEXT_PREFIX) else _TEXT_PREFIX + path
