"""What a picture's file gives back of a text in a style."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jstyle.methods.attention_distillation.recalling import recall_distilled
from jstyle.methods.recalled import Recalled


def recall_distilled_text(subject: Mapping[str, Any], settings: Mapping[str, Any]) -> Recalled:
    """The text, the seed and the style's file."""
    recalled = recall_distilled(subject, settings)
    return replace(recalled, values={**recalled.values, "prompt": [subject.get("prompt")]})
