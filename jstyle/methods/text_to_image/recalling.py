"""What the file of an image of a text gives back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jstyle.methods.recalling import Recalled, find_same


def recall_image(subject: Mapping[str, Any]) -> Recalled:
    """The text, the image's own seed, and the pictures that it started from, where their files are as they were."""
    lines: list[str] = []
    values = {"prompt": [subject.get("prompt")], "seed": subject.get("seed")}
    for name in ("image", "mask"):
        path = find_same(subject.get(f"{name}_file"), subject.get(name), name, lines)
        values.update({} if path is None else {name: path})
    return values, lines
