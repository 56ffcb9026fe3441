"""What an adapter's arrays are called by diffusers, peft, kohya, LyCORIS and OneTrainer, and whose layer's each is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Optional

from jstyle.errors import InputError
from jstyle.networks.config import UNetConfig
from jstyle.weights.single_file.names import find_unet_names

COMPONENTS = ("unet", "text_encoder", "text_encoder_2")
"""What adapters change; SDXL alone has the last."""

PEFT_PREFIX = "base_model.model."
"""Before every name in the files of peft's own save_pretrained."""

# What follows a layer's path. peft: lora_A, lora_B and others, in memory with the adapter's name behind; kohya:
# lora_down, lora_up; LyCORIS: the rest; diffusers before 0.22: plain down and up.
_PART = re.compile(
    r"(?P<layer>.+?)(?:\.lora_linear_layer|\.lora|_lora)?\.(?:"
    r"lora_(?P<name>A|B|down|up|mid)(?:\.[^.]+)?\.weight|(?P<old>down|up)\.weight"
    r"|lora_(?:B|up)(?:\.[^.]+)?\.(?P<bias>bias)|oft_R(?:\.[^.]+)?\.(?P<scaled>scaled_oft)"
    r"|(?P<whole>alpha|dora_scale|diff|diff_b|w_norm|b_norm|oft_blocks|rescale|on_input|weight)"
    r"|(?P<glora>[ab][12])\.weight"
    r"|(?P<pefts>lora_magnitude_vector|hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2)|oft_R|boft_[Rs]|ia3_l)"
    r"(?:\.(?!weight$)[^.]+)?(?:\.weight)?)"
)
_KOHYA = {f"{kind}_unet_": "unet" for kind in ("lora", "oft")}
_KOHYA.update({f"{name}_": "text_encoder" for name in ("lora_te", "lora_te1", "oft_te", "oft_te1")})
_KOHYA.update({f"{name}_": "text_encoder_2" for name in ("lora_te2", "oft_te2")})
_TEXT_NAMES = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}
_TEXT_PREFIX = "text_model."  # which transformers 5 leaves out
_ROLES = {"A": "down", "B": "up", "bias": "up_bias", "scaled_oft": "scaled_oft", "lora_magnitude_vector": "magnitude"}
_WRAPPED = "lycoris_"  # LyCORIS' prefix where it was put around a network by itself
_ORIGINAL = ("diffusion_model_", "lora_unet_")  # before the original code's names: ComfyUI's prefix, and kohya's
_COMFY_TEXT = {
    f"text_encoders_{clip}_transformer_": component
    for clip, component in (("clip_l", "text_encoder"), ("clip_h", "text_encoder"), ("clip_g", "text_encoder_2"))
}

LayerPath = tuple[str, str]
"""A component and the path of a layer in it."""


def sort_keys(
    keys: Iterable[str], known: Mapping[str, Mapping[str, Any]], unet: UNetConfig
) -> dict[LayerPath, dict[str, str]]:
    """A file's keys by layer and by their role in it: "down", "up", "alpha", "hada_w1_a" and the like.

    ``known`` has each component's layers by path, and ``unet`` the numbers by which the original code names the UNet's.
    Raises InputError for keys that belong to none of them, and for two of one role.
    """
    flat = {**_list_original_names(known["unet"], unet), **_list_flat_names(known)}
    by_layer: dict[LayerPath, dict[str, str]] = {}
    unknown: list[str] = []
    for key in keys:
        match = _PART.fullmatch(key[len(PEFT_PREFIX) :] if key.startswith(PEFT_PREFIX) else key)
        layer = (
            None if match is None else flat.get(match["layer"].replace(".", "_")) or _find_layer(match["layer"], known)
        )
        if match is None or layer is None:
            unknown.append(key)
            continue
        found = next(text for name, text in match.groupdict().items() if text and name != "layer")
        other = by_layer.setdefault(layer, {}).setdefault(_ROLES.get(found, found), key)
        if other != key:
            raise InputError(f"{other} and {key} mean the same; it holds several adapters: save one of them alone")
    if unknown or not by_layer:
        listed = ", ".join(key[:80] for key in unknown[:3]) or "none of a LoRA"
        raise InputError(
            f"{len(unknown)} keys fit no layer of this model ({listed}); "
            "it is for another model, or another kind of adapter"
        )
    return by_layer


def list_names(component: str, path: str) -> list[str]:
    """The names under which a configuration may know a layer: transformers 5 leaves a prefix out."""
    is_short = component != "unet" and path.startswith(_TEXT_PREFIX)
    return [path, path[len(_TEXT_PREFIX) :]] if is_short else [path]


def flatten_name(component: str, path: str, of_two: bool = False) -> str:
    """kohya's name of a layer, for a model ``of_two`` text encoders or of one."""
    text = "lora_te1_" if of_two else "lora_te_"
    prefix = {"unet": "lora_unet_", "text_encoder": text, "text_encoder_2": "lora_te2_"}[component]
    return prefix + path.replace(".", "_")


def _list_original_names(paths: Iterable[str], unet: UNetConfig) -> dict[str, LayerPath]:
    """The UNet's layers by the names of the original code, as kohya and ComfyUI write them, dots as underscores."""
    find = find_unet_names(unet)
    flat = {path: find(f"{path}.weight").name[: -len(".weight")].replace(".", "_") for path in paths}
    return {prefix + name: ("unet", path) for path, name in flat.items() for prefix in _ORIGINAL}


def _list_flat_names(known: Mapping[str, Mapping[str, Any]]) -> dict[str, LayerPath]:
    """kohya's and LyCORIS' names of all layers."""
    prefixes = [*_KOHYA.items(), *((_WRAPPED, component) for component in COMPONENTS)]
    prefixes += _COMFY_TEXT.items()
    return {
        prefix + name.replace(".", "_"): (component, path)
        for prefix, component in prefixes
        for path in known.get(component, ())
        for name in list_names(component, path)
    }


def _find_layer(name: str, known: Mapping[str, Mapping[str, Any]]) -> Optional[LayerPath]:
    """The layer of that name in diffusers' formats, of which some leave out the component's name."""
    for component in COMPONENTS:
        inside = name[len(component) + 1 :] if name.startswith(f"{component}.") else name
        path = _current_path(component, inside.replace(".processor.", "."))
        if path in known.get(component, ()):
            return component, path
    return None


def _current_path(component: str, path: str) -> str:
    """A path as the networks have it, from one that may be in an older fashion."""
    head, _, last = path.rpartition(".")
    if component == "unet":
        return f"{path}.0" if last == "to_out" else path
    path = f"{head}.{_TEXT_NAMES.get(last, last)}"
    return path if path.startswith(_TEXT_PREFIX) else _TEXT_PREFIX + path
