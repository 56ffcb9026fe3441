"""What a picture's file says of a content in a style, or of a texture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jstyle.methods.recalling import Recalled, find_same, recall_pair


def recall_distilled(subject: Mapping[str, Any]) -> Recalled:
    """Content and style, or a texture's style and seed, where the files are as they were."""
    if "content" in subject:
        return recall_pair(subject)
    lines: list[str] = []
    path = find_same(subject.get("style_file"), subject.get("style"), "style", lines)
    return {"seed": subject.get("seed"), **({} if path is None else {"style": [path]})}, lines
