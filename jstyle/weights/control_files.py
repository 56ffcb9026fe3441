"""Where a ControlNet lies: a folder of diffusers', a hub id, or a file, of the original code's too. Free of Jittor."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Optional

from jstyle.errors import InputError
from jstyle.files import hash_files
from jstyle.networks.config import ControlNetConfig, EncoderConfig
from jstyle.settings.identity import digest
from jstyle.settings.paths import guess_path
from jstyle.weights import fetching, hub
from jstyle.weights.configuration import read_network
from jstyle.weights.header import is_pickle_name
from jstyle.weights.single_file.families import find_family
from jstyle.weights.single_file.names import find_controlnet_names
from jstyle.weights.stored import Layout, StoredNetwork, store_folder
from jstyle.weights.tensors import FileTensors

PART = "controlnet"
_CONFIG = "config.json"
_PREFIXES = ("control_model.", "")
_FIRST, _RENAMED = "input_hint_block.0.weight", "controlnet_cond_embedding.conv_in.weight"
_TEXT = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
_ORIGINAL_TEXT = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"

_NEWER = "a net of SD 3 or FLUX, which are not here"

# What a name of another kind of file contains. The first that is found is told.
_OTHERS = (
    (r"lllite_", "a ControlNet-LLLite, which is not here"),
    (r"lora_controlnet$|.*\.(up|down)$|lora_unet_|.*\.lora_(up|down|A|B)\b", "a LoRA or Control-LoRA, not a whole net"),
    (r"difference$", "a difference of a net's weights from one certain model's: fetch the whole net"),
    (r"(adapter\.)?body\.\d+\.", "a T2I-Adapter, which is not here"),
    (r"image_proj|ip_adapter", "an IP-Adapter, which is not here"),
    (r"task_embedding$|control_add_embedding\.|control_type_proj", "a ControlNet-Union, which is not here"),
    (r".*(joint|single_transformer|double)_blocks\.|(controlnet_)?(transformer_blocks|x_embedder)", _NEWER),
    (
        r"(control_model\.)?(label_emb|add_embedding)\.",
        "a net of Stable Diffusion XL: give its folder with config.json",
    ),
)


@dataclass(frozen=True)
class NetFiles:
    """A net as it is on disk."""

    config: ControlNetConfig
    stored: StoredNetwork

    @property
    def identity(self) -> str:
        """SHA-256 over its weights and configuration: what "the same net" means."""
        content = hash_files(list(self.stored.files)) + digest(self.config)
        return hashlib.sha256(content.encode()).hexdigest()


def locate_net(name: str, config: Optional[str] = None) -> NetFiles:
    """The net of that name: its folder or a model's that has one, "tiny" as such, a hub id, or a file.

    ``config`` is the folder or hub id whose config.json describes a file; by default it is that of a net of Stable
    Diffusion 1.x or 2.x. Raises InputError for anything missing, damaged or of another kind.
    """
    path, of_hub = Path(os.path.expanduser(name)), hub.parse_hub_file(name)
    if of_hub is not None:
        repository, file, revision = of_hub
        if is_pickle_name(file):
            raise InputError(f"{file} is a pickle, which could run any code and is not read; take a safetensors file")
        path = fetching.fetch_file(repository, file, revision=revision)
    if path.is_file():
        return read_net_file(path, None if config is None else _read_config(config))
    if config is not None:
        raise InputError(f"config is for a ControlNet in one file, and {name!r} is none: leave it out")
    if not (name == hub.EMBEDDED or path.is_dir() or hub.is_hub_id(name)):
        raise InputError(f"there is no ControlNet {name!r}: {guess_path(path) or 'name its folder or its file'}")
    folder = hub.locate_component(name, None, PART, (_CONFIG,))
    return NetFiles(read_network(ControlNetConfig, folder), store_folder(PART, folder))


def read_net_file(file: Path, config: Optional[ControlNetConfig] = None) -> NetFiles:
    """The net in a single file. Raises InputError for a file that is damaged, a pickle, or holds something else."""
    shapes = FileTensors([file]).shapes()
    other = next((what for pattern, what in _OTHERS for name in shapes if re.match(pattern, name)), None)
    if other is not None:
        raise InputError(f"{file} is {other}")
    if _RENAMED in shapes:
        config = config or _guess_config(file, shapes, _TEXT)
        return NetFiles(config, StoredNetwork((file,), f"a ControlNet with texts of {config.cross_attention_dim}"))
    prefix = next((prefix for prefix in _PREFIXES if prefix + _FIRST in shapes), None)
    if prefix is None:
        names = sorted(shapes)
        shown = f"{', '.join(names[:3]) or 'nothing'}{', ...' if names[3:] else ''}"
        raise InputError(f"{file} holds no ControlNet, but {shown}; fetch the file of one")
    config = config or _guess_config(file, shapes, prefix + _ORIGINAL_TEXT)
    layout = Layout(prefix, find_controlnet_names(config), re.compile(r"(?!)"))
    described = f"a ControlNet with texts of {config.cross_attention_dim}"
    return NetFiles(config, StoredNetwork((file,), described, layout=layout))


def _guess_config(file: Path, shapes: Mapping[str, tuple[int, ...]], name: str) -> ControlNetConfig:
    """The configuration of a net of 1.x or 2.x, by the width of its texts.

    Files of the net that shuffles contents do not say that its residuals are averaged; their name does, as the original
    code's configurations are found by it.
    """
    shape = shapes.get(name, ())
    width = shape[1] if len(shape) > 1 else 0
    family = find_family(width)
    if family is None:
        raise InputError(
            f"{file} is of no shape that is known: the net reads texts of width {width}, that of Stable Diffusion 1.x "
            "768, of 2.x 1024; give its folder in diffusers' layout"
        )
    shared = {field.name: getattr(family.unet, field.name) for field in fields(EncoderConfig)}
    return replace(ControlNetConfig(**shared), global_pool_conditions="shuffle" in file.stem.lower())


def _read_config(config: str) -> ControlNetConfig:
    return read_network(ControlNetConfig, hub.locate_component(config, None, PART, (_CONFIG,)))
