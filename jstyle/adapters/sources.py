"""The file that a LoRA or a word lies in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Union

from jstyle.errors import InputError
from jstyle.weights.header import is_pickle_name, refuse_pickle


def find_file(source: Union[str, Path], names: Sequence[str], what: str) -> Path:
    """The file itself; of a folder the first of ``names`` that it holds, or else its only safetensors file.

    Raises InputError where there is none, several, or only a pickle; ``what`` is it of, such as "a LoRA".
    """
    place = Path(source)
    if not place.is_dir():
        if not place.is_file():
            raise InputError(f"there is no file {place}; give {what}'s safetensors file or its folder")
        return place
    for name in names:
        if (place / name).is_file():
            return place / name
    found = sorted(path for path in place.iterdir() if path.suffix == ".safetensors" and path.is_file())
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(path.name for path in found[:3])
        raise InputError(f"{place} holds {len(found)} safetensors files ({listed}); name one of them")
    pickles = sorted(path for path in place.iterdir() if is_pickle_name(path.name) and path.is_file())
    if pickles:
        raise refuse_pickle(pickles[0])
    raise InputError(f"there is no file {place / names[0]}; give {what}'s safetensors file or its folder")
