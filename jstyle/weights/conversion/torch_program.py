# pyright: reportMissingImports=false
"""Turns pickles of tensors into safetensors. Runs in an environment of PyTorch's, as a process of its own.

    PYTHON torch_program.py < request.json > answer.json

Imports nothing of the project: PyTorch and Jittor do not belong in one process. The request is a list of pairs, the
pickle and the file to write; the answer says of each what was left out, which are no tensors, or why it could not be
converted. No code of a pickle is run: `weights_only=True` allows tensors and plain values.
"""

from __future__ import annotations

import json
import os
import re
import sys
import zipfile
from typing import Any

if __name__ == "__main__":
    sys.path.pop(0)  # this folder's modules have names that others may want

import torch
from safetensors.torch import save_file

Answer = dict[str, Any]

OLDEST = (2, 6)
"""Before this version of PyTorch `weights_only` did not keep every pickle's code from running."""

NAMED = ("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",)
"""Classes that the published checkpoints of Stable Diffusion 1.x name beside their weights, and never call."""


NAMELESS = "emb_params"
"""The key of vectors whose file does not say their word."""


OF_ARTFUSION = "null_style_vector.weight"


class Unread:
    """Stands for each of those."""


def main() -> int:
    """Answer the request on stdin. Returns the exit code."""
    answers = os.dup(1)
    os.dup2(2, 1)  # libraries print on stdout; the answer alone belongs there
    request = json.load(sys.stdin)
    if tuple(int(number) for number in re.findall(r"\d+", torch.__version__)[:2]) < OLDEST:
        old = f"PyTorch {torch.__version__} could run its code; 2.6 or newer is needed (pip install --upgrade torch)"
        answer = [{"error": old} for _ in request]
    else:
        with torch.serialization.safe_globals([(Unread, name) for name in NAMED]):
            answer = [convert(source, target) for source, target in request]
    with os.fdopen(answers, "w") as out:
        json.dump(answer, out)
    return 0


def convert(source: str, target: str) -> Answer:
    """Convert one file."""
    try:
        content = torch.load(source, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(source))
        tensors, left_out = find_tensors(content)
        save_file(make_separate(tensors), target, {"format": "pt"})
    except Exception as error:  # of any kind: what the file holds decides
        return {"error": explain(error)}
    return {"left_out": left_out}


def find_tensors(content: Any) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The named tensors, and the names of what else there is. Raises ValueError for what holds none, or several words.

    Trainings keep them below `state_dict`; AUTOMATIC1111's learnt words have theirs below `string_to_param`, and what
    they are called beside it: that becomes the key, as in diffusers' files.
    """
    left_out: list[str] = []
    while isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        left_out += [str(name) for name in content if name != "state_dict"]
        content = content["state_dict"]
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, and no tensors by their names")
    words = content.get("string_to_param")
    if isinstance(words, dict):
        if len(words) != 1:
            raise ValueError(f"it holds {len(words)} words, and a file of one is needed")
        word = name_word(content.get("name"))
        left_out += [str(name) for name in content if name not in ("string_to_param", "name")]
        return {word: next(iter(words.values()))}, left_out
    tensors = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
    left_out += [str(name) for name in content if str(name) not in tensors]
    if not tensors:
        raise ValueError("it holds no tensors by their names")
    kept = keep_averages(tensors) if OF_ARTFUSION in tensors else tensors
    return kept, left_out + [name for name in tensors if name not in kept]


def keep_averages(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What ArtFusion is used with: its averaged weights in the place of those that were trained last.

    The averages' names lack their dots, and the tables of the noise schedule follow from it.
    """
    kept = {}
    for name, tensor in tensors.items():
        network, _, parameter = name.partition(".")
        if network in ("model", "null_style_vector"):
            kept[name] = tensors.get(f"{network}_ema.{parameter.replace('.', '')}", tensor)
        elif network in ("first_stage_model", "vgg", "shift_values", "scale_factors"):
            kept[name] = tensor
    return kept


def name_word(name: Any) -> str:
    """The key of a word's vectors: its name, or `NAMELESS` where that is no single word to be typed in a prompt."""
    is_word = isinstance(name, str) and name.isprintable() and len(name.split()) == 1 and name == name.strip()
    return name if is_word else NAMELESS


def make_separate(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors without gradients, each with memory of its own, in rows: safetensors' writer wants that."""
    separate, seen = {}, set()
    for name, tensor in tensors.items():
        own = tensor.detach().contiguous()
        place = own.untyped_storage().data_ptr()
        if place in seen or own.untyped_storage().nbytes() != own.numel() * own.element_size():
            own = own.clone()
        seen.add(place)
        separate[name] = own
    return separate


def explain(error: Exception) -> str:
    """One line."""
    text = " ".join(str(error).split())
    other = re.search(r"GLOBAL ([\w.]+)", text)
    if other is not None:
        return f"it holds an object of {other[1]}, which only code of its own could read; get it as safetensors"
    return f"{type(error).__name__}: {text}"[:300] if not isinstance(error, ValueError) else text[:300]


if __name__ == "__main__":
    sys.exit(main())
