"""The parameters of a module <-> safetensors. Missing, unexpected and mis-shaped keys never go unnoticed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from jstyle import ops
from jstyle.errors import InputError
from jstyle.files import replacing
from jstyle.runtime import jt
from jstyle.weights.streamed import write
from jstyle.weights.tensors import Rename, Tensors, to_numbers

# Buffers that old checkpoints contain although they follow from the configuration.
IGNORED_KEYS = frozenset({"text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"})

# Jittor keeps freed memory; it is given back after a parameter of more than this many bytes was read and cast.
RELEASED = 1 << 22


def load_weights(
    module: jt.Module,
    tensors: Tensors,
    what: str,
    rename: Rename = str,
    dtype: str = "float32",
    *,
    described_by: str = "its config.json",
    spell: Callable[[str], str] = str,
    is_new: bool = False,
) -> None:
    """Fill every parameter of ``module`` from ``tensors``, one at a time, in ``dtype``.

    What the parameters of a module that ``is_new`` begin with is never computed.

    ``rename`` maps a stored name to a parameter's. If the two do not fit, raises InputError, before anything is
    changed, with the missing, unexpected and mis-shaped keys, the name ``what`` of the network, and ``described_by``;
    ``spell`` gives a name as people find it in the file.
    """
    parameters = dict(module.named_parameters())
    stored = {rename(name): (name, shape) for name, shape in tensors.shapes().items()}
    for key in IGNORED_KEYS - set(parameters):
        stored.pop(key, None)
    _check_keys(parameters, stored, f"the {what} weights do not fit {described_by}", spell)
    shapes = {key: tuple(parameter.shape) for key, parameter in parameters.items()}
    if is_new:  # else the first that is computed would bring all of these with it, in fp32
        for parameter in parameters.values():
            parameter.assign(jt.zeros(1))
    for key, parameter in parameters.items():
        array = tensors.read(stored[key][0]).reshape(shapes[key])
        numbers = to_numbers(array, f"{spell(stored[key][0])} of the {what} weights", "fetch the model again")
        with jt.no_grad():  # else what a parameter is cast from would be kept for gradients
            value = ops.cast(jt.array(numbers), dtype)
        parameter.assign(value)
        parameter.sync()
        parameter.start_grad()
        if array.nbytes > RELEASED:
            jt.gc()


def _check_keys(
    parameters: Mapping[str, jt.Var],
    stored: Mapping[str, tuple[str, tuple[int, ...]]],
    problem: str,
    spell: Callable[[str], str],
) -> None:
    missing = sorted(map(spell, set(parameters) - set(stored)))
    unexpected = sorted(stored[key][0] for key in set(stored) - set(parameters))
    shapes = [
        f"{spell(stored[key][0])} is {list(stored[key][1])} but should be {list(parameter.shape)}"
        for key, parameter in sorted(parameters.items())
        if key in stored and not _same_shape(stored[key][1], tuple(parameter.shape))
    ]
    problems = [
        f"{len(keys)} {kind} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for kind, keys in (("missing", missing), ("unexpected", unexpected), ("of the wrong shape", shapes))
        if keys
    ]
    if problems:
        raise InputError(f"{problem}: keys {'; '.join(problems)}")


def _same_shape(stored: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """A linear map stored as a convolution of width 1, as in old VAE files, has the same numbers in the same order."""
    return stored == wanted or (len(wanted) == 2 and stored in ((*wanted, 1, 1), (*wanted, 1)))


def save_weights(module: jt.Module, file: Path, dtype: str = "float32") -> None:
    """Write every parameter, under its own name, to a safetensors file that appears only when it is whole.

    They are cast one at a time, because a model that has just been trained leaves no memory for a copy of all.
    Raises InputError when the file cannot be written.
    """
    parameters = dict(module.named_parameters())
    shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}

    def read(name: str) -> np.ndarray:
        return ops.cast(parameters[name], "float32").numpy()

    with replacing(file) as part, open(part, "wb") as stream:
        write(stream, shapes, read, dtype, {"format": "pt"})
