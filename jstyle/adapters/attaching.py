"""What was taught, put on a model for a while: functions that `Teaching.attach` names.

Each takes (pipe, file, weight) and gives a context in which the file's content is part of the model; afterwards the
model is as it was, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from jstyle.adapters.loading import AdapterLoading
from jstyle.errors import InputError
from jstyle.weights.loading import load_weights
from jstyle.weights.tensors import FileTensors, Rename, rename_text


@contextmanager
def attach_lora(pipe: AdapterLoading, file: Path, weight: float) -> Iterator[None]:
    """A LoRA beside those in effect."""
    before = dict(pipe.loras.weights)
    name = pipe.loras.load(file)
    pipe.set_adapters([*before, name], [*before.values(), weight])
    try:
        yield
    finally:
        pipe.delete_adapters(name)


@contextmanager
def attach_word(pipe: AdapterLoading, file: Path, weight: float) -> Iterator[None]:
    """A learnt word. It is in a prompt or not: InputError for any weight but 1."""
    _require_whole("a textual inversion", weight)
    known = set(pipe.vocabulary.vectors)
    pipe.load_textual_inversion(file)
    try:
        yield
    finally:
        pipe.unload_textual_inversion([token for token in pipe.vocabulary.vectors if token not in known])


@contextmanager
def attach_inst_word(pipe: AdapterLoading, file: Path, weight: float) -> Iterator[None]:
    """The word that InST has made of a picture. InputError for any weight but 1."""
    _require_whole("a word of InST", weight)
    token = pipe.load_inst(file)
    try:
        yield
    finally:
        pipe.unload_textual_inversion(token)


@contextmanager
def attach_networks(pipe: Any, file: Path, weight: float) -> Iterator[None]:
    """A whole UNet, and the text encoders of its model folder, in the place of the loaded pipeline's.

    InputError for any weight but 1.
    """
    _require_whole("a whole UNet", weight)
    with ExitStack() as stack:
        stack.enter_context(_replaced(pipe, "unet", [file], str))
        for name in ("text_encoder", "text_encoder_2"):
            beside = sorted((file.parent.parent / name).glob("*.safetensors"))
            if beside and getattr(pipe, name) is not None:
                stack.enter_context(_replaced(pipe, name, beside, rename_text))
        yield


@contextmanager
def _replaced(pipe: Any, name: str, files: Sequence[Path], rename: Rename) -> Iterator[None]:
    """The weights of one of the pipeline's networks."""
    network = getattr(pipe, name)
    dtype = str(next(iter(network.parameters())).dtype)
    before = pipe.parts.stored.get(name)
    if before is None:
        raise InputError(f"the {name} was not read from files and could not be put back; load the model anew")
    load_weights(network, FileTensors(files), name, rename, dtype)
    try:
        yield
    finally:
        network.fill(before, dtype)


def _require_whole(what: str, weight: float) -> None:
    """What is there or not has no weight but 1."""
    if weight != 1:
        raise InputError(f"the weight of {what} must be 1, not {weight}")
