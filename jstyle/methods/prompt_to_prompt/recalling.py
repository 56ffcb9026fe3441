"""What a picture's file says of a source and its edit, for other ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jstyle.methods.recalling import Recalled, find_same


def recall_edit(subject: Mapping[str, Any]) -> Recalled:
    """Both texts and the seed; the given picture, where its file is as it was."""
    lines: list[str] = []
    values = {name: subject[name] for name in ("prompt", "seed") if subject.get(name) is not None}
    values.update({} if subject.get("target") is None else {"target": [subject["target"]]})
    path = find_same(subject.get("image_file"), subject.get("image"), "image", lines)
    values.update({} if path is None else {"image": path})
    return values, lines
