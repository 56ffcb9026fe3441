"""What the file of a content in a learnt style gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jstyle.adapters.inst_words import hash_style
from jstyle.methods.recalled import Recalled
from jstyle.methods.recalling import recall_pair


def recall_stylised(subject: Mapping[str, Any], settings: Mapping[str, Any]) -> Recalled:
    """The content, and the folder of the training that has learnt the style."""
    recalled = recall_pair(subject, settings)
    origins = [
        replace(origin, what="style learnt in", hash_content=hash_style) if origin.setting == "style" else origin
        for origin in recalled.origins
    ]
    return replace(recalled, origins=origins)
