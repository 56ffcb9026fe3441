"""Folders of models, networks and schedulers that are written for diffusers: what stays of those that are there."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

from jstyle.errors import InputError
from jstyle.files import make_folder, replacing, scratch_folder
from jstyle.settings.arguments import read_yes, refuse_unknown
from jstyle.settings.messages import show
from jstyle.weights.hub import list_weights

_WITHOUT_EFFECT = ("max_shard_size", "is_main_process")
_REFUSED: Mapping[str, str] = {
    "push_to_hub": "nothing is sent anywhere; `hf upload` sends the folder",
    "save_function": "only safetensors are written; leave it out",
}


@contextmanager
def saving(folder: Path, overwrite: bool, variant: Optional[str] = None) -> Iterator[Path]:
    """A folder to write to, whose files lie in ``folder`` at the end of the ``with``.

    Files that are there with the same content stay as they are, and so do files of other names: to save the same twice
    is to save it once. Those of other content, and other files of the same weights, are replaced if ``overwrite`` says
    so. Raises InputError, before anything there changes, where it does not, and for what cannot be written.
    """
    read_yes("overwrite", overwrite)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; choose another folder")
    make_folder(folder.parent)
    if not folder.exists() or not any(folder.iterdir()):
        with replacing(folder) as part:
            part.mkdir()
            yield part
        return
    with scratch_folder(folder) as part:
        yield part
        names = sorted(path.relative_to(part) for path in part.rglob("*") if path.is_file())
        stale = _list_stale(part, folder, variant)
        changed = [name for name in names if (folder / name).exists() and not _are_same(part / name, folder / name)]
        if (changed or stale) and not overwrite:
            other = [*changed, *stale][0]
            raise InputError(
                f"{folder} already holds another {other}; choose another folder, or replace it with overwrite=True"
            )
        for name in sorted(names, key=lambda name: name.suffix == ".json"):  # what speaks of weights comes after them
            with replacing(folder / name) as file:
                make_folder((folder / name).parent)
                os.replace(part / name, file)
        for name in stale:
            (folder / name).unlink()


def refuse_unsaved(where: str, told: Mapping[str, Any], known: list[str]) -> None:
    """Raise InputError for an argument of diffusers' ``save_pretrained`` that is not known or cannot be obeyed."""
    refuse_unknown(where, told, [*known, *_WITHOUT_EFFECT, *_REFUSED])
    for name, value in told.items():
        if name in _REFUSED and value:
            raise InputError(f"{name}: {_REFUSED[name]}")
    if not told.get("is_main_process", True):
        raise InputError(f"is_main_process is {show(told['is_main_process'])}, and there is one process; leave it out")


def _list_stale(part: Path, folder: Path, variant: Optional[str]) -> list[Path]:
    """Files there from which weights would be read in the place of those that were written now, such as shards."""
    places = sorted({path.parent.relative_to(part) for path in part.rglob("*.safetensors")})
    found = [
        path for place in places for pattern in list_weights(variant, "") for path in (folder / place).glob(pattern)
    ]
    return [name for name in sorted(path.relative_to(folder) for path in found) if not (part / name).exists()]


def _are_same(first: Path, second: Path) -> bool:
    return second.is_file() and filecmp.cmp(first, second, shallow=False)
