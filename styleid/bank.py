"""Feature banks: what one image's inversion left at the injected layers, by sampling step.

Only what a role needs is kept: the queries of a content, the keys and values of a style. An array is
(tokens, heads, head_dim), addressed by (sampling step, site path, "q" | "k" | "v").
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file

from jstyle import ops
from jstyle.errors import InputError
from jstyle.files import name_part
from jstyle.methods.blocks import Picture, Role
from jstyle.networks.editing import QKV, Site
from jstyle.weights.tensors import write_tensors

PARTS: Mapping[Role, tuple[str, ...]] = {"content": ("q",), "style": ("k", "v")}


def count_arrays(pictures: Collection[Picture]) -> int:
    """The arrays that pictures leave behind: a content's queries, a style's keys and values."""
    return sum(len(PARTS[role]) for role, _ in pictures)


class Bank(Protocol):
    """Recorded features, as injection reads them."""

    def read(self, step: int, site: str, part: str) -> np.ndarray:
        """(tokens, heads, head_dim)."""
        ...


class Sink(Protocol):
    """Where a recorder puts features: one step's arrays by "site/part"."""

    def write(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        """Keep a sampling step's arrays."""
        ...


class MemoryBank:
    """Features in memory."""

    def __init__(self) -> None:
        self._steps: dict[int, dict[str, np.ndarray]] = {}

    def write(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        """Keep a sampling step's arrays."""
        self._steps[step] = arrays

    def read(self, step: int, site: str, part: str) -> np.ndarray:
        """(tokens, heads, head_dim), as they were written."""
        return self._steps[step][f"{site}/{part}"]


class Discarded:
    """Where features go that nobody wants."""

    def write(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        """Keep nothing."""


class DiskBank:
    """Features in a folder, one safetensors file a step, and the inverted latent beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, step: int, site: str, part: str) -> np.ndarray:
        """Raises InputError for a file that is missing or damaged."""
        file = _step_file(self.folder, step)
        try:
            with safe_open(file, framework="np") as tensors:
                return tensors.get_tensor(f"{site}/{part}")
        except (OSError, SafetensorError) as error:
            raise InputError(f"{file} is damaged ({error}); delete the folder {self.folder} and run again") from error

    def latent(self) -> np.ndarray:
        """The image's latent at the end of its inversion, (channels, height, width)."""
        try:
            return load_file(self.folder / "latent.safetensors")["latent"]
        except (OSError, SafetensorError, KeyError) as error:
            raise InputError(f"{self.folder} is damaged ({error}); delete it and run again") from error


class DiskWriter:
    """Fills a temporary folder step by step; ``finish`` gives it its name. Nothing incomplete is ever read."""

    def __init__(self, folder: Path) -> None:
        self._final = folder
        self._temporary = name_part(folder)
        try:
            self._temporary.mkdir(parents=True)
        except OSError as error:
            raise InputError(f"cannot keep features in {str(folder.parent)!r}: {error.strerror}") from error

    def write(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        """Write a step's file. Raises InputError where there is no room."""
        write_tensors(arrays, _step_file(self._temporary, step))

    def finish(self, latent: np.ndarray) -> DiskBank:
        """Store the inverted latent and make the bank visible. Another process's equal bank may stand there already."""
        write_tensors({"latent": np.ascontiguousarray(latent)}, self._temporary / "latent.safetensors")
        try:
            os.replace(self._temporary, self._final)
        except OSError:
            if not self._final.is_dir():
                raise
            self.discard()
        return DiskBank(self._final)

    def discard(self) -> None:
        """Remove what was written."""
        shutil.rmtree(self._temporary, ignore_errors=True)


class Recorder:
    """An editor that changes nothing and hands each row's features of a step to that row's sink."""

    def __init__(self, role: Role, sinks: Sequence[Sink], dtype: str) -> None:
        self._parts = PARTS[role]
        self._sinks = sinks
        self._dtype = dtype
        self._arrays: dict[str, np.ndarray] = {}

    def __call__(self, site: Site, step: int, qkv: QKV) -> QKV:
        for part in self._parts:
            feature = ops.cast(getattr(qkv, part), "float32")
            self._arrays[f"{site.path}/{part}"] = np.array(feature.cast(self._dtype).numpy())
        return qkv

    def flush(self, step: int) -> None:
        """Pass on what the last call of the network left, as sampling step ``step``."""
        for row, sink in enumerate(self._sinks):
            sink.write(step, {name: np.ascontiguousarray(array[row]) for name, array in self._arrays.items()})
        self._arrays = {}


def _step_file(folder: Path, step: int) -> Path:
    return folder / f"step_{step:03d}.safetensors"
