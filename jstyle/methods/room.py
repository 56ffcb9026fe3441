"""Whether what a method would keep of a network's attention finds room."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from jstyle.runtime.memory import measure_free_memory

SHARE = 0.5
"""Of what is free, in memory or on a disk, that is given to features."""


def fit_memory(size: int) -> bool:
    """Whether so many bytes fit the share of the free memory."""
    return size <= SHARE * measure_free_memory()


def fit_disk(size: int, folder: Path) -> bool:
    """Whether so many bytes fit the share of the room where a folder is, or will be."""
    place = next((place for place in (folder, *folder.absolute().parents) if place.is_dir()), Path("/"))
    return size <= SHARE * shutil.disk_usage(place).free


def count_features(unet: Any, paths: Collection[str], shape: Sequence[int]) -> int:
    """The numbers in the queries (as many in the keys, in the values) that one latent (channels, height, width) leaves
    in one step at the self-attentions of these paths.
    """
    total = 0
    for site in unet.sites:
        if site.path in paths:
            height, width = (-(-size // 2**site.level) for size in shape[1:])
            total += height * width * unet.config.block_out_channels[site.level]
    return total
