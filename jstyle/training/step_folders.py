"""The names of checkpoints: found without reading them, and without Jittor."""

from __future__ import annotations

import re
from pathlib import Path

NAME = re.compile(r"step-(\d{8,})")


def name_step(step: int) -> str:
    """The folder's name of the checkpoint after so many updates."""
    return f"step-{step:08d}"


def find_latest_step(folder: Path) -> int:
    """The updates of the latest checkpoint in a folder, 0 where there is none."""
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return max((int(match[1]) for match in map(NAME.fullmatch, names) if match), default=0)
