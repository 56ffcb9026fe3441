"""What a picture's file says of its edit, for another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jstyle.methods.recalling import Recalled, find_same


def recall_edit(subject: Mapping[str, Any]) -> Recalled:
    """The text and the eta; the picture, where its file is as it was."""
    lines: list[str] = []
    values: dict[str, Any] = {"prompt": subject.get("prompt"), "eta": [subject.get("eta")]}
    path = find_same(subject.get("image_file"), subject.get("image"), "image", lines)
    values.update({} if path is None else {"image": path})
    return values, lines
