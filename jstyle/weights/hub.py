"""From a model's name to a local folder in diffusers' layout, and from a component's folder to its weight files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Union

from jstyle.errors import InputError
from jstyle.weights.fetching import NotHere, fetch_patterns, is_fetching
from jstyle.weights.header import is_pickle_name, refuse_pickle

EMBEDDED = "tiny"
"""The name of the model that comes with the package."""

_INDEX = "model_index.json"
_TEXTS = (
    *(_INDEX, "words.txt", "scheduler/*.json", "feature_extractor/*.json"),
    *(f"{name}/*.{ending}" for name in ("tokenizer", "tokenizer_2") for ending in ("json", "txt")),
)
_COMPONENTS = ("unet", "vae", "text_encoder", "text_encoder_2", "image_encoder")
_STEMS = ("diffusion_pytorch_model", "model")  # diffusers' and transformers' file names
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
_HUB_FILE = re.compile(
    r"(?:(?:https?://)?(?:(?:www\.)?huggingface\.co|hf\.co)/)?(?P<model>[\w-][\w.-]*/[\w-][\w.-]*)/"
    r"(?:(?:blob|resolve)/(?P<revision>[\w.-]+)/)?"
    r"(?P<name>[\w.][\w ./+()-]*\.(?:safetensors|ckpt|pt|pth|bin))(?:\?.*)?",
    re.ASCII,
)


def locate(model: str, *, revision: Optional[str] = None, variant: Optional[str] = None) -> Path:
    """The folder of a model: "tiny" (embedded), a local folder, or an id `owner/name` on Hugging Face's hub.

    From the hub only the configurations, the tokenizer and the safetensors weights of the one variant
    ("fp16", or None for the plain files) are fetched, once, into huggingface_hub's cache; its variables
    `HF_ENDPOINT`, `HF_HUB_OFFLINE` and `HF_HOME` apply. A component without that variant is read from its plain files,
    as diffusers does. Raises InputError where there is no such model or revision, it cannot be fetched, or it lacks
    needed files.
    """
    path = os.path.expanduser(model)
    if model == EMBEDDED:
        folder = Path(__file__).parents[1] / "embedded" / EMBEDDED
    elif os.path.isdir(path):
        folder = Path(path)
    elif os.path.exists(path):
        raise InputError(f"{model!r} is a file, and a folder in diffusers' layout is needed")
    elif is_hub_id(model):
        folder = fetch_patterns(model, revision, _list_patterns(variant))
        plain = _list_without_variant(folder, variant)
        if plain:
            folder = fetch_patterns(model, revision, _list_patterns(None, plain))
        try:
            return _check_folder(folder, model, variant)
        except InputError as error:
            if not is_fetching():
                raise NotHere(f"{model!r} is not wholly on this machine") from None
            raise InputError(
                f"{error} (pickles are not fetched: download them, then `jstyle convert` the folder)"
            ) from None
    else:
        raise InputError(f"no model {model!r}: it is no folder, no hub id 'owner/name', and not {EMBEDDED!r}")
    if revision is not None:
        raise InputError(f"a revision ({revision!r}) can only be asked of a hub id; {model!r} is a folder")
    return _check_folder(folder, model, variant)


def is_hub_id(model: str) -> bool:
    """Whether a name is neither the embedded model nor something on this machine, and has the form `owner/name`."""
    is_here = model == EMBEDDED or os.path.exists(os.path.expanduser(model))
    return not is_here and not is_weights_name(model) and _HUB_ID.fullmatch(model) is not None


def is_weights_name(name: str) -> bool:
    """Whether files of weights are named so."""
    return name.lower().endswith(".safetensors") or is_pickle_name(name)


def locate_part(model: str, part: str, *, variant: Optional[str] = None) -> Path:
    """The folder of the component ``part`` ("image_encoder", "vae"), which holds its config.json.

    ``model`` is a model's folder, the component's own folder, or a hub id of either, of which nothing but this
    component is fetched. Raises InputError where there is no such model, it cannot be fetched, or it has no such part.
    """
    folder = locate(model) if model == EMBEDDED else Path(os.path.expanduser(model))
    if is_hub_id(model):
        folder = fetch_patterns(model, None, _list_part_patterns(variant, part))
        if variant and not any(_find_weights(place, variant) for place in (folder / part, folder)):
            folder = fetch_patterns(model, None, _list_part_patterns(None, part))
    for place in (folder / part, folder):
        if (place / "config.json").is_file():
            return place
    raise InputError(f"{model!r} has no {part}: name a model that has one, or its folder {part}/ with a config.json")


def locate_component(
    model: Union[str, Path],
    part: Optional[str],
    usual: str,
    names: tuple[str, ...],
    *,
    revision: Optional[str] = None,
    variant: Optional[str] = None,
) -> Path:
    """The folder of one component, which has the first of the files ``names``.

    ``model`` is the embedded model, a folder or a hub id, and ``part`` the component's folder in it: where none is said
    ``usual``, or the model's folder itself if it has that file. Of a hub's model the named files and the component's
    weights are fetched. Raises InputError where there is no such model or component, or it cannot be fetched.
    """
    model = str(model)
    folder = Path(os.path.expanduser(model))
    if part is None and not (folder / names[0]).is_file():
        part = usual
    prefix = f"{part}/" if part else ""
    if model == EMBEDDED:
        folder = locate(model)
    elif is_hub_id(model):
        folder = fetch_patterns(model, revision, [f"{prefix}{name}" for name in names] + list_weights(variant, prefix))
    place = folder / prefix
    if (place / names[0]).is_file():
        return place
    here = f"the folder {part}" if part else "it"
    raise InputError(f"{model!r} cannot be loaded: {here} has no {names[0]}; name its place with subfolder=")


def locate_base(model: str, *, revision: Optional[str] = None, parts: Sequence[str] = ()) -> Path:
    """The folder of a model of which the configurations, the tokenizer and the weights of ``parts`` alone are fetched.

    Nothing is looked for in a folder on this machine, which may lack any of them. Raises InputError as `locate`.
    """
    path = os.path.expanduser(model)
    if model == EMBEDDED:
        return locate(model)
    if os.path.isdir(path):
        return Path(path)
    if not is_hub_id(model):
        raise InputError(f"no folder {model!r} in diffusers' layout, and no hub id 'owner/name'")
    weights = [pattern for part in parts for pattern in list_weights(None, f"{part}/")]
    return fetch_patterns(model, revision, [*_TEXTS, *(f"{name}/config.json" for name in _COMPONENTS), *weights])


def parse_hub_file(model: str) -> Optional[tuple[str, str, Optional[str]]]:
    """(hub id, name of a file in it, revision or None) where a name is of the form `owner/name/FILE.safetensors`, or is
    the address of such a file on the hub; None for anything else, and for what is on this machine.
    """
    match = None if os.path.exists(os.path.expanduser(model)) else _HUB_FILE.fullmatch(model)
    return None if match is None or ".." in match["name"] else (match["model"], match["name"], match["revision"])


def weight_files(folder: Path, variant: Optional[str] = None) -> list[Path]:
    """The safetensors files that hold one component's weights: a single file, or the shards of its index.

    The plain ones where there are none of this variant. Raises InputError where there are none at all, the index is
    damaged, or a shard is missing.
    """
    files = (_find_weights(folder, variant) if variant else []) or _find_weights(folder, None)
    if files:
        return files
    pickles = sorted(path for path in folder.glob("*.*") if is_pickle_name(path.name))
    if pickles:
        raise refuse_pickle(pickles[0], folder.parent if (folder.parent / _INDEX).is_file() else folder)
    present = sorted(path.name for path in folder.glob("*.*") if path.suffix != ".json")
    content = f"it holds {', '.join(present) or 'no weights'}"
    raise InputError(f"no safetensors weights in {str(folder)!r}: {content}; nothing else is read")


def _find_weights(folder: Path, variant: Optional[str]) -> list[Path]:
    """The weights of exactly this variant; none where it has no file. Raises InputError as `weight_files`."""
    mark = f".{variant}" if variant else ""
    for stem in _STEMS:
        single = folder / f"{stem}{mark}.safetensors"
        if single.is_file():
            return [single]
        index = folder / f"{stem}.safetensors.index{mark}.json"
        if index.is_file():
            return _list_shards(index)
    return []


def _list_shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        if not names or not all(name.endswith(".safetensors") for name in names):
            raise ValueError("it names no safetensors files")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the index {str(index)!r} is damaged ({error}): fetch it again") from error
    for name in names:
        if name != Path(name).name or "\\" in name:
            raise InputError(f"the index {str(index)!r} names {name!r}, which is outside its folder")
        if not (index.parent / name).is_file():
            raise InputError(f"{str(index.parent)!r} lacks {name!r}, which its index names: fetch it again")
    return [index.parent / name for name in names]


def _check_folder(folder: Path, model: str, variant: Optional[str]) -> Path:
    """The folder itself, if it has a `model_index.json` and weights for each component that this lists."""
    try:
        components = _list_components(folder)
    except FileNotFoundError as error:
        missing = f"the model {model!r} ({str(folder)!r}) has no model_index.json"
        raise InputError(f"{missing}: {_advise_on_folder(folder, model)}") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{str(folder / _INDEX)!r} cannot be read: {error}") from error
    if "unet" not in components:
        raise InputError(f"the model {model!r} is no Stable Diffusion: its model_index.json lists no unet")
    if "text_encoder" not in components and "text_encoder_2" in components:
        raise InputError(
            f"the model {model!r} has the second text encoder alone, as SDXL's refiner has: that is not here; load the "
            "base"
        )
    for name in components:
        weight_files(folder / name, variant)
    if variant and not any(_find_weights(folder / name, variant) for name in components):
        raise InputError(f"no part of the model {model!r} has weights of the variant {variant!r}: name no variant")
    return folder


def _list_components(folder: Path) -> tuple[str, ...]:
    """The components with weights that a folder's `model_index.json` lists. Raises what reading JSON does."""
    listed = json.loads((folder / _INDEX).read_text("utf-8"))
    return tuple(name for name in _COMPONENTS if listed.get(name, (None,))[0] is not None)


def _list_without_variant(folder: Path, variant: Optional[str]) -> tuple[str, ...]:
    """The components that lack the variant, where others have it."""
    try:
        lacking = [name for name in _list_components(folder) if variant and not _find_weights(folder / name, variant)]
        return tuple(lacking) if len(lacking) < len(_list_components(folder)) else ()
    except Exception:  # a damaged folder is looked at, and told, by `_check_folder`
        return ()


def _advise_on_folder(folder: Path, model: str) -> str:
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    if files:
        return f"name one of its files ({', '.join(files[:3])})"
    advice = "a folder in diffusers' layout is needed"
    return f"{advice}, or the name of one of its files, {model}/FILE.safetensors" if is_hub_id(model) else advice


def _list_patterns(variant: Optional[str], components: tuple[str, ...] = _COMPONENTS) -> list[str]:
    """What to fetch of a model."""
    weights = [pattern for name in components for pattern in list_weights(variant, f"{name}/")]
    return [*_TEXTS, *(f"{name}/config.json" for name in components), *weights]


def _list_part_patterns(variant: Optional[str], part: str) -> list[str]:
    """What to fetch of one part, which lies in its folder or, where the repository is the part's own, at the top."""
    return [*_list_patterns(variant, (part,)), "config.json", *list_weights(variant, "")]


def list_weights(variant: Optional[str], prefix: str) -> list[str]:
    """Patterns of a component's weights. Shard numbers are spelt out, so that none matches another variant's files."""
    mark = f".{variant}" if variant else ""
    number = "-?????-of-?????"
    endings = [f"{mark}.safetensors", f"{mark}{number}.safetensors", f".safetensors.index{mark}.json"]
    if variant:
        endings.append(f"{number}{mark}.safetensors")  # diffusers' older spelling
    return [f"{prefix}{stem}{ending}" for stem in _STEMS for ending in endings]
