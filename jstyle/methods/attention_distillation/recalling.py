"""What a picture's file gives back of a content in a style, or of a texture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jstyle.methods.recalled import Need, Recalled
from jstyle.methods.recalling import list_origins

_MIX = "it is in several styles, whose files it does not name: give --style and --mix"


def recall_distilled(subject: Mapping[str, Any], settings: Mapping[str, Any]) -> Recalled:
    """The files of content and style, and the seed of a texture."""
    origins, needs = list_origins(subject, ("content", "style"))
    if any(origin.setting == "style" and not Path(origin.path).suffix for origin in origins):  # a mix has a name alone
        origins = [origin for origin in origins if origin.setting != "style"]
        needs.append(Need(("style", "mix"), _MIX))
    values: dict[str, Any] = {origin.setting: [str(origin.path)] for origin in origins}
    values.update({} if subject.get("seed") is None else {"seed": subject["seed"]})
    return Recalled(values, origins=origins, needs=needs)
