"""Finished pictures on disk: each says what it is and carries the hash of its pixels, so that damage shows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Dict, Literal, Mapping, Optional

from PIL import Image

from jstyle.errors import InputError
from jstyle.pictures import images

_SIGNATURE = b"\x89PNG\r\n\x1a\n"

State = Literal["finished", "missing", "damaged", "other"]


def save(picture: Image.Image, path: Path, meaning: Mapping[str, Any], code: str) -> str:
    """Write a picture whole or not at all, and return the hash of its pixels. ``code`` names the code that made it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = pixel_hash(picture)
    images.save_png(picture, path, {**meaning, "code": code, "pixels": pixels})
    return pixels


def state(path: Path, meaning: Mapping[str, Any]) -> State:
    """What stands at ``path``: the picture of that meaning, nothing, half a picture, or something else."""
    if not path.exists():
        return "missing"
    metadata = intact(path)
    if metadata is None:
        return "damaged" if images.read_metadata(path) is not None or _is_broken(path) else "other"
    wanted = json.loads(json.dumps(meaning))
    return "finished" if {key: metadata.get(key) for key in wanted} == wanted else "other"


def intact(path: Path) -> Optional[Dict[str, Any]]:
    """A picture's metadata, or None where it has none or its pixels are not those that were written."""
    metadata = images.read_metadata(path)
    if metadata is None:
        return None
    try:
        picture = images.open_image(path)
    except InputError:
        return None
    return metadata if metadata.get("pixels") == pixel_hash(picture) else None


def pixel_hash(picture: Image.Image) -> str:
    """SHA-256 over size and RGB values."""
    digest = hashlib.sha256(f"{picture.width}x{picture.height}".encode())
    digest.update(picture.convert("RGB").tobytes())
    return digest.hexdigest()


def _is_broken(path: Path) -> bool:
    """Whether it was to be a PNG and is none."""
    with open(path, "rb") as file:
        start = file.read(len(_SIGNATURE))
    try:
        with Image.open(path, formats=("PNG",)) as image:
            image.verify()
    except Exception:  # on damaged bytes Pillow's reader raises nearly anything
        return _SIGNATURE.startswith(start)
    return False
