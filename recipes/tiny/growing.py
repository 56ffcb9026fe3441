"""Arrays on disk that take long to fill: they appear only when they are whole, and go on where they stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from jstyle.errors import InputError
from jstyle.files import write_text

_SAVED_EVERY = 512  # rows


def fill_array(
    file: Path,
    shape: Sequence[int],
    dtype: type,
    identity: Mapping[str, Any],
    make: Callable[[int], Iterable[np.ndarray]],
) -> None:
    """Write an array of this shape to ``file`` (.npy), unless it is there.

    ``make(start)`` yields the rows from ``start`` on, in blocks of any size, always the same ones. What a killed
    process had written is kept where its ``identity``, plain data that says what the rows are, was the same.
    Raises InputError where the array is there and was made from something else.
    """
    if file.exists():
        check_identity(file, identity)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    part, note = file.with_name(f".{file.name}.unfinished"), _name_note(file)
    whole = json.loads(json.dumps({**identity, "shape": list(shape), "dtype": np.dtype(dtype).str}))
    done = saved = _count_done(part, note, whole)
    array = np.lib.format.open_memmap(part, "r+" if done else "w+", dtype, tuple(shape))
    bar = tqdm(desc=file.stem, total=shape[0], initial=done, mininterval=1)
    for rows in make(done):
        array[done : done + len(rows)] = rows
        done += len(rows)
        bar.update(len(rows))
        if done - saved >= _SAVED_EVERY:
            array.flush()
            write_text(note, json.dumps({"done": done, "identity": whole}))
            saved = done
    array.flush()
    write_text(note, json.dumps({"done": done, "identity": whole}))
    os.replace(part, file)


def check_identity(file: Path, identity: Mapping[str, Any]) -> None:
    """Raise InputError where it is known that the array in ``file`` was made from something else."""
    note = _name_note(file)
    if file.exists() and note.exists():
        stored = json.loads(note.read_text(encoding="utf-8"))["identity"]
        for name, value in json.loads(json.dumps(dict(identity))).items():
            if stored.get(name) != value:
                raise InputError(
                    f"{file} was made with {name} = {stored.get(name)}, not {value}; choose another output"
                )


def _name_note(file: Path) -> Path:
    """Where it is written down what the array is made from, and how much of it is there."""
    return file.with_name(f".{file.name}.json")


def _count_done(part: Path, note: Path, identity: Mapping[str, Any]) -> int:
    """How many rows of this array are already there."""
    if not (part.exists() and note.exists()):
        return 0
    stored = json.loads(note.read_text(encoding="utf-8"))
    return stored["done"] if stored["identity"] == identity else 0
