"""Where features are kept: chosen before a run by the room that there is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from jstyle.methods.blocks import Block, count_kept
from jstyle.methods.room import fit_disk, fit_memory
from styleid.bank import count_arrays
from styleid.settings import Keeping


def choose_keeping(blocks: Sequence[Block], array: int, store: Optional[Path]) -> tuple[Keeping, str]:
    """How the features of a run are kept, and a line that says so.

    Memory comes first, then the disk, where there is a ``store``; one that an earlier run has begun is gone on with.
    What has room in neither is computed again.

    Args:
        blocks: the run.
        array: the bytes that the queries (as many the keys, the values) of one picture take, of all steps.
        store: the folder of disk features.
    """
    at_once = array * count_kept(blocks, count_arrays)
    in_all = array * count_arrays({picture for block in blocks for picture in block.pictures})
    is_begun = store is not None and store.is_dir() and any(store.iterdir())
    if fit_memory(at_once) and not is_begun:
        return "memory", f"features are kept in memory ({format_bytes(at_once)})"
    if store is not None and fit_disk(in_all, store):
        return "disk", f"features are kept in {store} ({format_bytes(in_all)}), for later runs too"
    if fit_memory(at_once):
        return "memory", f"features are kept in memory ({format_bytes(at_once)})"
    return "recompute", f"features are computed again at each step: there is no room to keep {format_bytes(at_once)}"


def format_bytes(size: int) -> str:
    """Such as "1.2 GB", "34 MB"."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 1):.0f} MB"
