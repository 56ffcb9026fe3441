"""What a picture's file says of its edit, for another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jstyle.methods.recalled import Recalled
from jstyle.methods.recalling import list_origins


def recall_edit(subject: Mapping[str, Any], settings: Mapping[str, Any]) -> Recalled:
    """The text, the eta and the picture."""
    origins, needs = list_origins(subject, ("image",))
    values: dict[str, Any] = {origin.setting: str(origin.path) for origin in origins}
    if subject.get("eta") is not None:
        values["eta"] = [subject["eta"]]
    return Recalled({"prompt": subject.get("prompt"), **values}, (), origins, needs)
