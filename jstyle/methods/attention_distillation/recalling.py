"""What a picture's file says of a content in a style, or of a texture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jstyle.methods.recalled import Recalled
from jstyle.methods.recalling import list_origins, recall_pair


def recall_distilled(subject: Mapping[str, Any], settings: Mapping[str, Any]) -> Recalled:
    """Content and style, or a texture's style and seed."""
    if "content" in subject:
        return recall_pair(subject, settings)
    origins, needs = list_origins(subject, ("style",))
    values: dict[str, Any] = {origin.setting: [str(origin.path)] for origin in origins}
    return Recalled({"seed": subject.get("seed"), **values}, (), origins, needs)
