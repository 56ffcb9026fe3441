"""What a picture's file says of a text in a style."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jstyle.methods.attention_distillation.recalling import recall_distilled
from jstyle.methods.recalling import Recalled


def recall_distilled_text(subject: Mapping[str, Any]) -> Recalled:
    """The text and the seed; the style where its file is as it was."""
    values, lines = recall_distilled(subject)
    return {"prompt": [subject.get("prompt")], **values}, lines
