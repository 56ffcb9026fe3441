"""Which image encoder a training of InST looks through, by content; finding that out starts no Jittor."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Optional

from jstyle.files import hash_files
from jstyle.methods.inst.settings import InstTrainSettings
from jstyle.weights import hub

PART = "image_encoder"


def hash_image_encoder(settings: InstTrainSettings) -> Optional[str]:
    """SHA-256 over the encoder that the settings name, its configuration and weights; None for the model's own.

    Raises InputError where there is none of that name.
    """
    if settings.image_encoder is None:
        return None
    folder = hub.locate_part(settings.image_encoder, PART, variant=settings.model.variant)
    files = (folder / "config.json", *hub.weight_files(folder, settings.model.variant))
    return _hash_once(files, tuple(file.stat().st_mtime_ns for file in files))


@lru_cache(maxsize=None)
def _hash_once(files: tuple[Path, ...], changed: tuple[int, ...]) -> str:
    """Every style of a job names the same gigabytes; ``changed`` says when each was written."""
    return hash_files(files)
