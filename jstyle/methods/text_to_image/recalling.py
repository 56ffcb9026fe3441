"""What the file of an image of a text gives back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jstyle.methods.recalled import Recalled, list_control_origins
from jstyle.methods.recalling import list_origins


def recall_image(subject: Mapping[str, Any], settings: Mapping[str, Any]) -> Recalled:
    """The text, the image's own seed, and the pictures that it started from."""
    origins, needs = list_origins(subject, ("image", "mask"))
    values: dict[str, Any] = {origin.setting: str(origin.path) for origin in origins}
    if subject.get("prompt") is not None:
        values["prompt"] = [subject["prompt"]]
    if subject.get("seed") is not None:
        values["seed"] = subject["seed"]
    controls = list_control_origins(subject, settings)
    if controls:
        values["control"] = [str(origin.path) for origin in controls if origin.setting == "control"]
    return Recalled(values, (), [*origins, *controls], needs)
