"""What a picture's file says of a source and its edit, for other ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jstyle.methods.recalled import Need, Recalled
from jstyle.methods.recalling import list_origins

_SOURCE = (
    "it is the source of edits, which is made along with them: give --target, an edited text, "
    "or take one of its edits with --from"
)


def recall_edit(subject: Mapping[str, Any], settings: Mapping[str, Any]) -> Recalled:
    """Both texts and the seed, and the given picture. A source whose words are not reweighted needs a target."""
    origins, needs = list_origins(subject, ("image",))
    values: dict[str, Any] = {name: subject[name] for name in ("prompt", "seed") if subject.get(name) is not None}
    values.update({origin.setting: str(origin.path) for origin in origins})
    if subject.get("target") is not None:
        values["target"] = [subject["target"]]
    elif not settings.get("reweight"):
        needs.append(Need(("target",), _SOURCE))
    return Recalled(values, (), origins, needs)
