"""Trained additions to a model: loaders by kind. A loader attaches one for as long as its context lasts."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Mapping, Sequence

from jstyle.errors import InputError
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.weights.loading import load_weights
from jstyle.weights.tensors import FileTensors, Rename, rename_text

Loader = Callable[[StableDiffusionPipeline, Path, float], "AbstractContextManager[None]"]
"""(pipeline, file, weight) -> a context in which it is part of the model; afterwards the model is as before."""


@contextmanager
def lora(pipe: StableDiffusionPipeline, file: Path, weight: float) -> Iterator[None]:
    """A LoRA beside those in effect."""
    before = dict(pipe.loras.weights)
    name = pipe.loras.load(file)
    pipe.set_adapters([*before, name], [*before.values(), weight])
    try:
        yield
    finally:
        pipe.delete_adapters(name)


@contextmanager
def textual_inversion(pipe: StableDiffusionPipeline, file: Path, weight: float) -> Iterator[None]:
    """A learnt word. It is in a prompt or not: InputError for any weight but 1."""
    _require_whole("a textual inversion", weight)
    known = set(pipe.vocabulary.vectors)
    pipe.load_textual_inversion(file)
    try:
        yield
    finally:
        for token in set(pipe.vocabulary.vectors) - known:
            pipe.unload_textual_inversion(token)


@contextmanager
def inst(pipe: StableDiffusionPipeline, file: Path, weight: float) -> Iterator[None]:
    """The word that InST has made of a picture. InputError for any weight but 1."""
    _require_whole("a word of InST", weight)
    token = pipe.load_inst(file)
    try:
        yield
    finally:
        pipe.unload_textual_inversion(token)


@contextmanager
def networks(pipe: StableDiffusionPipeline, file: Path, weight: float) -> Iterator[None]:
    """A whole UNet, and the text encoder of its model folder, in the place of the model's.

    InputError for any weight but 1.
    """
    _require_whole("a whole UNet", weight)
    with ExitStack() as stack:
        stack.enter_context(_replaced(pipe, "unet", [file], str))
        beside = sorted((file.parent.parent / "text_encoder").glob("*.safetensors"))
        if beside:
            stack.enter_context(_replaced(pipe, "text_encoder", beside, rename_text))
        yield


LOADERS: Dict[str, Loader] = {
    "lora": lora,
    "textual_inversion": textual_inversion,
    "inst": inst,
    "dreambooth": networks,
    "fine_tuning": networks,
}
"""By the `kind` of a recipe's adapter."""


@contextmanager
def _replaced(pipe: StableDiffusionPipeline, name: str, files: Sequence[Path], rename: Rename) -> Iterator[None]:
    """The weights of one of the pipeline's networks."""
    network = getattr(pipe, name)
    dtype = str(next(iter(network.parameters())).dtype)
    before = [path for path in pipe.components.files if path.parent.name == name]
    load_weights(network, FileTensors(files), name, rename, dtype)
    try:
        yield
    finally:
        load_weights(network, FileTensors(before), name, rename, dtype)


def _require_whole(what: str, weight: float) -> None:
    """What is there or not has no weight but 1."""
    if weight != 1:
        raise InputError(f"the weight of {what} must be 1, not {weight}")


@contextmanager
def attached(
    pipe: StableDiffusionPipeline, adapters: Sequence[Mapping[str, Any]], files: Mapping[str, str]
) -> Iterator[None]:
    """All adapters of a task's meaning, in order."""
    with ExitStack() as stack:
        for adapter in adapters:
            loader = LOADERS[adapter["kind"]]
            file = files[adapter["trained"] if "trained" in adapter else adapter["file"]]
            stack.enter_context(loader(pipe, Path(file), adapter["weight"]))
        yield
