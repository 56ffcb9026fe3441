"""LoRA files: written in diffusers' format, read in that, in diffusers' older ones, in peft's and in kohya's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from jstyle import ops
from jstyle.adapters.initial_parts import subtract_initial_part
from jstyle.adapters.lora import Lora, LowRank, layers
from jstyle.adapters.lora_config import LoraConfig, parse_config, read_config, select_entries
from jstyle.adapters.lora_keys import COMPONENTS, PEFT_PREFIX, list_names, sort_keys
from jstyle.adapters.sources import find_file
from jstyle.errors import InputError
from jstyle.networks.layers import Conv2d
from jstyle.runtime import jt
from jstyle.weights.tensors import FileTensors, Tensors, read_numbers, write_tensors

FILE = "pytorch_lora_weights.safetensors"
_PEFT_FILE, _PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"
_METADATA = "lora_adapter_metadata"
_LARGEST_CONFIG = 1 << 24  # bytes
_LARGEST_SCALE = 1e9


def read(source: Union[str, Path], unet: jt.Module, text_encoder: jt.Module) -> Lora:
    """The adapter in a safetensors file, or in a folder: diffusers', peft's, or the only one that it holds.

    Raises InputError where there is no such file, for a file of peft's without its ``adapter_config.json``, and as
    ``parse`` does.
    """
    file = find_file(source, (FILE, _PEFT_FILE), "a LoRA")
    tensors = FileTensors([file])
    try:
        header = _read_peft_config(file) if _is_peft(tensors) else parse_config(_read_header(tensors))
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    return parse(tensors, unet, text_encoder, header, str(file))


def parse(
    tensors: Tensors,
    unet: jt.Module,
    text_encoder: jt.Module,
    metadata: Optional[Mapping[str, Any]] = None,
    what: str = "the LoRA",
) -> Lora:
    """The adapter that the named arrays make up; ``metadata`` is peft's configuration, as diffusers writes it.

    No array is read whose shape does not fit its layer. Raises InputError, naming the key, for what does not belong to
    these networks, is no plain LoRA, or holds numbers that are not finite.
    """
    known = {"unet": layers(unet), "text_encoder": layers(text_encoder)}
    changes: dict[str, dict[str, LowRank]] = {component: {} for component in COMPONENTS}
    try:
        sorted_keys = sort_keys(tensors.shapes(), known)
        configs = {
            component: read_config(select_entries(metadata or {}, component, COMPONENTS))
            for component in {component for component, _ in sorted_keys}
        }
        for (component, path), keys in sorted_keys.items():
            base, names = known[component][path], list_names(component, path)
            changes[component][path] = _read_change(tensors, keys, base, configs[component], names)
    except InputError as error:
        raise InputError(f"{what}: {error}") from None
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


def _read_header(tensors: FileTensors) -> bytes:
    return tensors.metadata.get(_METADATA, "{}").encode("utf-8", "surrogatepass")


def _is_peft(tensors: Tensors) -> bool:
    return any(key.startswith(PEFT_PREFIX) for key in tensors.shapes())


def _read_peft_config(file: Path) -> dict[str, Any]:
    """The configuration that lies beside a file of peft's, which alone says how strong the LoRA is."""
    config = file.with_name(_PEFT_CONFIG)
    if not config.is_file():
        raise InputError(f"its alpha is in peft's {_PEFT_CONFIG}, which is missing beside it; put it there")
    if config.stat().st_size > _LARGEST_CONFIG:
        raise InputError(f"the {_PEFT_CONFIG} beside it is too large to be one; save the LoRA again")
    return parse_config(config.read_bytes())


def _read_change(
    tensors: Tensors, keys: Mapping[str, str], base: Any, config: LoraConfig, names: Sequence[str]
) -> LowRank:
    """One layer's change; ``names`` are those of the layer."""
    _check_shapes(tensors, keys, base)
    down, up = _reshape(read_numbers(tensors, keys["down"]), read_numbers(tensors, keys["up"]), base)
    rank = len(down)
    alpha = config.find_alpha(names, rank)
    if "alpha" in keys:
        alpha = float(tensors.read(keys["alpha"]).reshape(()))
    if not abs(alpha) <= _LARGEST_SCALE * rank:
        raise InputError(f"{names[0]} has the alpha {alpha:g}, which no training gives; fetch the file again")
    if config.start is not None and alpha:
        if isinstance(base, Conv2d):
            raise InputError(f"{names[0]} is a convolution, which has no {config.start}; save the LoRA again")
        with jt.no_grad():
            weight = np.array(ops.cast(base.weight, "float32").numpy())
        down, up = subtract_initial_part(config.start, weight, down, up, alpha / rank)
        alpha = alpha / rank * len(down)
    with jt.no_grad():
        return LowRank(jt.array(down).stop_grad(), jt.array(up).stop_grad(), alpha)


def _check_shapes(tensors: Tensors, keys: Mapping[str, str], base: Any) -> None:
    """Raises InputError where a layer's arrays do not fit it."""
    shapes = tensors.shapes()
    down, up, shape = shapes[keys["down"]], shapes[keys["up"]], tuple(base.weight.shape)
    if len(down) > 1 and len(up) > 1 and 0 in (down[0], up[1]):
        raise InputError(f"{keys['down']} and its pair have rank 0, which changes nothing; save the LoRA again")
    fits = len(down) > 1 and len(up) > 1 and up[:2] == (shape[0], down[0])
    if not fits or math.prod(down[1:]) != math.prod(shape[1:]) or math.prod(up[2:]) != 1:
        raise InputError(
            f"{keys['down']} and its pair are {list(down)} and {list(up)}, "
            f"which does not fit the layer's {list(shape)}; it is for another model"
        )
    if "alpha" in keys and math.prod(shapes[keys["alpha"]]) != 1:
        raise InputError(f"{keys['alpha']} is {list(shapes[keys['alpha']])}, not one number; fetch the file again")


def _reshape(down: np.ndarray, up: np.ndarray, base: Any) -> tuple[np.ndarray, np.ndarray]:
    """The matrices in the shapes that the layer needs; 1x1 convolutions and linear maps are the same numbers."""
    shape, rank = tuple(base.weight.shape), len(down)
    ones = [1, 1] if isinstance(base, Conv2d) else []
    return down.reshape(rank, *shape[1:]), up.reshape(shape[0], rank, *ones)
