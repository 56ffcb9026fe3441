"""LoRA files: written in diffusers' (peft's) format, read in that, in diffusers' older ones and in kohya's."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
from safetensors import safe_open

from jstyle.adapters.lora import Lora, LowRank, layers
from jstyle.errors import InputError
from jstyle.networks.layers import Conv2d
from jstyle.runtime import jt
from jstyle.weights.tensors import FileTensors, Tensors, write_tensors

FILE = "pytorch_lora_weights.safetensors"
COMPONENTS = ("unet", "text_encoder")
_METADATA = "lora_adapter_metadata"
# What follows a layer's path. peft: lora_A, lora_B; kohya: lora_down, lora_up; diffusers before 0.22: the other two.
_PART = re.compile(
    r"(?P<layer>.+?)(?:\.lora_linear_layer|\.lora|_lora)?\."
    r"(?:lora_(?P<name>A|B|down|up)\.weight|(?P<old>down|up)\.weight|(?P<alpha>alpha))"
)
_KOHYA = {"lora_unet_": "unet", "lora_te_": "text_encoder", "lora_te1_": "text_encoder"}
_TEXT_NAMES = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}
_ROLES = {"A": "down", "down": "down", "B": "up", "up": "up"}

LayerPath = tuple[str, str]
"""A component and the path of a layer in it."""


def read(source: Union[str, Path], unet: jt.Module, text_encoder: jt.Module) -> Lora:
    """The adapter in a safetensors file, or in a folder's ``pytorch_lora_weights.safetensors``.

    Raises InputError where there is no such file, and as ``parse`` does.
    """
    file = Path(source) / FILE if Path(source).is_dir() else Path(source)
    if not file.is_file():
        raise InputError(f"there is no file {file}; give a LoRA's safetensors file or its folder")
    tensors = FileTensors([file])
    with safe_open(file, framework="np") as stored:
        metadata = json.loads((stored.metadata() or {}).get(_METADATA, "{}"))
    return parse(tensors, unet, text_encoder, metadata, str(file))


def parse(
    tensors: Tensors,
    unet: jt.Module,
    text_encoder: jt.Module,
    metadata: Optional[Mapping[str, Any]] = None,
    what: str = "the LoRA",
) -> Lora:
    """The adapter that the named arrays make up; ``metadata`` is what diffusers writes beside them.

    Raises InputError, naming the key, for what does not belong to these networks or is no plain LoRA.
    """
    known = {"unet": layers(unet), "text_encoder": layers(text_encoder)}
    changes: dict[str, dict[str, LowRank]] = {component: {} for component in COMPONENTS}
    for (component, path), keys in _sort_keys(tensors, known, what).items():
        if not {"down", "up"} <= set(keys):
            raise InputError(f"{what}: {path} has only one of its two matrices; fetch the file again")
        down, up = (tensors.read(keys[role]).astype(np.float32) for role in ("down", "up"))
        down, up = _fit_matrices(down, up, known[component][path], keys["down"], what)
        alpha = _read_alpha(metadata or {}, component, path, len(down))
        if "alpha" in keys:
            alpha = float(tensors.read(keys["alpha"]))
        with jt.no_grad():
            changes[component][path] = LowRank(jt.array(down).stop_grad(), jt.array(up).stop_grad(), alpha)
    return Lora(changes["unet"], changes["text_encoder"])


def write(lora: Lora, folder: Path) -> Path:
    """Write ``pytorch_lora_weights.safetensors`` in diffusers' format, which every LoRA loader reads.

    It has no place for alpha that all loaders look at, so a scale other than 1 goes into ``up``. Returns the file.
    Raises InputError when it cannot be written.
    """
    arrays = {}
    for component in COMPONENTS:
        for path, change in lora.of(component).items():
            down, up = np.array(change.down.numpy()), np.array(change.up.numpy())
            arrays[f"{component}.{path}.lora_A.weight"] = np.float32(down)
            arrays[f"{component}.{path}.lora_B.weight"] = np.float32(up * change.scale)
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(arrays, folder / FILE)
    return folder / FILE


def _sort_keys(tensors: Tensors, known: Mapping[str, Mapping[str, Any]], what: str) -> dict[LayerPath, dict[str, str]]:
    """The file's keys, by layer and by their role in it: "down", "up", "alpha"."""
    flat = {
        prefix + path.replace(".", "_"): (component, path)
        for prefix, component in _KOHYA.items()
        for path in known[component]
    }
    by_layer: dict[LayerPath, dict[str, str]] = {}
    unknown: list[str] = []
    for key in tensors.shapes():
        match = _PART.fullmatch(key)
        layer = None if match is None else flat.get(match["layer"]) or _find_layer(match["layer"], known)
        if match is None or layer is None:
            unknown.append(key)
            continue
        role = "alpha" if match["alpha"] else _ROLES[match["name"] or match["old"]]
        by_layer.setdefault(layer, {})[role] = key
    if unknown or not by_layer:
        listed = ", ".join(unknown[:3]) or "none of a LoRA"
        raise InputError(
            f"{what}: {len(unknown)} keys fit no layer of this model ({listed}); "
            "it is for another model, or another kind of adapter"
        )
    return by_layer


def _find_layer(name: str, known: Mapping[str, Mapping[str, Any]]) -> Optional[LayerPath]:
    """The layer of that name in diffusers' formats. The oldest leave out "unet."."""
    component = "text_encoder" if name.startswith("text_encoder.") else "unet"
    path = name[len(component) + 1 :] if name.startswith(f"{component}.") else name
    path = path.replace(".processor.", ".")
    head, _, last = path.rpartition(".")
    if component == "text_encoder":
        path = f"{head}.{_TEXT_NAMES.get(last, last)}"
        path = path if path.startswith("text_model.") else f"text_model.{path}"
    elif last == "to_out":
        path = f"{path}.0"
    return (component, path) if path in known[component] else None


def _fit_matrices(down: np.ndarray, up: np.ndarray, base: Any, key: str, what: str) -> tuple[np.ndarray, np.ndarray]:
    """The matrices in the shapes that the layer needs; 1x1 convolutions and linear maps are the same numbers."""
    shape = tuple(base.weight.shape)
    rank = down.shape[0]
    wanted = ((rank, *shape[1:]), (shape[0], rank, *([1, 1] if isinstance(base, Conv2d) else [])))
    if down.size != math.prod(wanted[0]) or up.size != math.prod(wanted[1]) or len(up) != shape[0]:
        raise InputError(
            f"{what}: {key} and its pair are {list(down.shape)} and {list(up.shape)}, "
            f"which does not fit the layer's {list(shape)}; it is for another model"
        )
    return np.ascontiguousarray(down.reshape(wanted[0])), np.ascontiguousarray(up.reshape(wanted[1]))


def _read_alpha(metadata: Mapping[str, Any], component: str, path: str, rank: int) -> float:
    """alpha from diffusers' metadata, or the rank where they do not give it."""
    config = {key[len(component) + 1 :]: value for key, value in metadata.items() if key.startswith(f"{component}.")}
    if config.get("use_dora"):
        raise InputError("this is a DoRA, which also changes the size of weights; only plain LoRA can be read")
    alpha = config.get("lora_alpha", rank)
    for pattern, pattern_alpha in config.get("alpha_pattern", {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", path):
            alpha = pattern_alpha
    return float(alpha) * (math.sqrt(rank) if config.get("use_rslora") else 1.0)
