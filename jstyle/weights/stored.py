"""Where a network's weights lie: the files, and the names that its parameters have in them. Free of Jittor."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

import numpy as np

from jstyle.weights.hub import weight_files
from jstyle.weights.tensors import FileTensors, Rename, Tensors, rename_text, rename_vae

NETWORKS = ("unet", "vae", "text_encoder", "text_encoder_2", "image_encoder")
"""The parts of a model that have weights, in the order in which its hash takes them."""

_RENAMES: Mapping[str, Rename] = {"vae": rename_vae, "text_encoder": rename_text, "text_encoder_2": rename_text}


@dataclass(frozen=True)
class Slot:
    """Where a parameter is stored: under a name, and of several that are joined along their rows, as which of them.

    A map that the original code multiplies from the right is stored ``transposed``.
    """

    name: str
    part: int = 0
    parts: int = 1
    transposed: bool = False


@dataclass(frozen=True)
class Layout:
    """How a file of several networks names the parameters of one."""

    prefix: str
    """What all of its names begin with."""

    place: Callable[[str], Slot]
    """Where a parameter, by its name in the network, is stored, below the prefix."""

    ignored: re.Pattern[str]
    """What else is stored below the prefix and belongs to no result; matched from its beginning."""

    def find(self, parameter: str) -> Slot:
        """Where the file has a parameter."""
        slot = self.place(parameter)
        return replace(slot, name=self.prefix + slot.name)


@dataclass(frozen=True)
class StoredNetwork:
    """The files that hold the weights of one network."""

    files: tuple[Path, ...]

    described_by: str = "its config.json"
    """What says which weights there must be, as messages name it."""

    rename: Rename = str
    """From the name of a tensor, where there is no layout, to the parameter's."""

    layout: Optional[Layout] = None
    """Where the file names them as the original code does."""

    def open(self, parameters: Collection[str]) -> Tensors:
        """The tensors under the names of a network's ``parameters``, and under their own those that are none's.

        Raises InputError for a file that is damaged or a pickle.
        """
        tensors = FileTensors(self.files)
        return tensors if self.layout is None else _LaidOut(tensors, self.layout, parameters)

    def spell(self, name: str) -> str:
        """A parameter's name as the files have it."""
        return name if self.layout is None else self.layout.find(name).name


def store_folder(part: str, folder: Path, variant: Optional[str] = None) -> StoredNetwork:
    """The network of that part in its own folder. Raises InputError where its weights are missing."""
    files = tuple(weight_files(folder, variant))
    return StoredNetwork(files, str(folder / "config.json"), _RENAMES.get(part, str))


class _LaidOut:
    """The tensors of one network among those of a file."""

    def __init__(self, tensors: Tensors, layout: Layout, parameters: Collection[str]) -> None:
        self._tensors = tensors
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._slots: dict[str, Slot] = {}
        stored, used = tensors.shapes(), set()
        for parameter in parameters:
            slot = layout.find(parameter)
            used.add(slot.name)
            if slot.name in stored:
                self._slots[parameter] = slot
                shape = stored[slot.name][::-1] if slot.transposed else stored[slot.name]
                self._shapes[parameter] = _take_part(shape, slot.parts)
        for name, shape in stored.items():
            is_ours = name.startswith(layout.prefix) and name not in used
            if is_ours and not layout.ignored.match(name[len(layout.prefix) :]):
                self._shapes[name] = shape

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each tensor."""
        return self._shapes

    def read(self, name: str) -> np.ndarray:
        """The tensor in the dtype in which it is stored; of a joined one its own rows."""
        slot = self._slots[name]
        array = self._tensors.read(slot.name)
        if slot.transposed:
            return np.ascontiguousarray(array.T)
        return array if slot.parts == 1 else np.split(array, slot.parts)[slot.part]


def _take_part(shape: tuple[int, ...], parts: int) -> tuple[int, ...]:
    """The shape of one of so many equal parts of the rows; where they cannot be parted, that of the whole."""
    if parts == 1 or not shape or shape[0] % parts:
        return shape
    return (shape[0] // parts, *shape[1:])
