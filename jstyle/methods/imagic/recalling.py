"""What a picture's file says of its edit, for another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jstyle.methods.recalled import Recalled
from jstyle.methods.recalling import list_origins


def recall_edit(subject: Mapping[str, Any], settings: Mapping[str, Any]) -> Recalled:
    """The text, the eta and the picture."""
    origins, needs = list_origins(subject, ("image",))
    values: dict[str, Any] = {"prompt": subject.get("prompt"), "eta": [subject.get("eta")]}
    values.update({origin.setting: str(origin.path) for origin in origins})
    return Recalled(values, (), origins, needs)
