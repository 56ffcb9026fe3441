"""Checkpoints: folders that appear whole or not at all.

``step-00000500/`` holds ``state.safetensors`` (every array of the state) and ``state.json`` (the step, the settings
and versions). It is written under another name, flushed to the disk and renamed; only then the one before it goes.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np

import jstyle
from jstyle.errors import InputError
from jstyle.files import name_part, sweep_all
from jstyle.runtime import jt
from jstyle.training.step_folders import NAME, find_latest_step, name_step
from jstyle.weights import streamed
from jstyle.weights.tensors import FileTensors


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint. ``identity`` is what the run must keep when it is resumed; ``finished`` the updates that it
    had when it last came to an end, before it was made longer, 0 where it never has.
    """

    path: Path
    step: int
    identity: dict[str, Any]
    finished: int = 0

    def tensors(self) -> FileTensors:
        """Its arrays, read when they are asked for."""
        return FileTensors([self.path / "state.safetensors"])


def find_latest(folder: Path) -> Optional[Checkpoint]:
    """The checkpoint of the highest step, None where there is none. InputError where it is damaged."""
    step = find_latest_step(folder)
    if not step:
        return None
    path = folder / name_step(step)
    try:
        stored = json.loads((path / "state.json").read_text())
        return Checkpoint(path, stored["step"], stored["identity"], stored.get("finished", 0))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} is damaged ({error}); remove it to go on from an earlier one, if any") from None


def save(
    folder: Path, tensors: Mapping[str, jt.Var], step: int, identity: Mapping[str, Any], finished: int = 0
) -> Checkpoint:
    """Write a checkpoint; once it is whole, remove the others. Raises InputError where it cannot be written."""
    path, part = folder / name_step(step), name_part(folder / "state")
    described = {"step": step, "finished": finished, "identity": dict(identity), "versions": _versions()}
    try:
        part.mkdir(parents=True, exist_ok=True)
        with open(part / "state.safetensors", "wb") as stream:
            shapes = {name: tuple(var.shape) for name, var in tensors.items()}
            streamed.write(stream, shapes, lambda name: tensors[name].numpy())
            stream.flush()
            os.fsync(stream.fileno())
        _write(part / "state.json", json.dumps(described, indent=2).encode())
        _remove(path)
        os.replace(part, path)
        _flush(folder)
    except OSError as error:
        _remove(part)
        raise InputError(f"cannot write {path} ({error}); free some space or choose another place") from None
    for name in _names(folder):
        if name != path.name and NAME.fullmatch(name):
            _remove(folder / name)
    sweep_all(folder)
    return Checkpoint(path, step, described["identity"], finished)


def _names(folder: Path) -> list:
    return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []


def _versions() -> dict[str, str]:
    return {
        "jstyle": jstyle.__version__,
        "jittor": jt.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _write(file: Path, content: bytes) -> None:
    with open(file, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _flush(folder: Path) -> None:
    """Make a rename in this folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> None:
    """Take the name away first: what is called a checkpoint is whole, also while it is being removed."""
    part = name_part(folder)
    with suppress(FileNotFoundError):
        os.replace(folder, part)
    shutil.rmtree(part, ignore_errors=True)
