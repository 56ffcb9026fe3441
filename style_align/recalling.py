"""What the file of a set's picture gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from jstyle.files import hash_files
from jstyle.methods.recalled import Need, Origin, Recalled, list_control_origins

_PLACES = {"picture_file": "reference_image", "saved_file": "reference"}
"""What says where a reference lies, and the setting that names it."""


def recall_set(subject: Mapping[str, Any], settings: Mapping[str, Any]) -> Recalled:
    """The picture's own text, its references, and what it started from; of a set that is one batch, all of it.

    Targets' seeds count on from that of a generated reference: only the first one behind it can be made alone.
    """
    if "references" not in subject:
        return _recall_reference(subject)
    targets = _list_parts(subject, "companions") or [subject]
    references = _list_parts(subject, "references")
    values, origins, needs = _recall_references(references)
    starts, start_needs = _find_files(targets, "start", {"start_file": "image"})
    seed = _read_number(targets[0].get("seed"))
    values.update(prompt=[target.get("prompt") for target in targets], reference_weights=subject.get("weights"))
    values.update({"image": [str(origin.path) for origin in starts]} if starts else {})
    first = _read_number(values.get("seed", seed - 1 if seed else None))
    if first is not None:
        values["seed"] = first
    if seed is not None and first is not None and seed - first != 1:
        needs.append(Need(("prompt",), _explain_number(seed - first, targets[0])))
    controls = list_control_origins(subject, settings)
    if controls:
        values["control"] = [str(origin.path) for origin in controls if origin.setting == "control"]
    return Recalled(values, (), [*origins, *starts, *controls], [*needs, *start_needs])


def _recall_reference(subject: Mapping[str, Any]) -> Recalled:
    """What the picture of a reference gives to the other pictures of a set, which must be named."""
    values, origins, needs = _recall_references([subject])
    reason = "it is the reference of a set: give --prompt for pictures in its style, with which it is made again"
    return Recalled(values, (), origins, [Need(("prompt",), reason), *needs])


def _recall_references(
    references: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, Any], list[Origin], list[Need]]:
    """Texts of the references, the seed of the first one that was generated, and files; saved ones know their texts."""
    values: dict[str, Any] = {}
    origins, needs = _find_files([one for one in references if one.get("file")], "file", _PLACES)
    for setting in dict.fromkeys(origin.setting for origin in origins):
        values[setting] = [str(origin.path) for origin in origins if origin.setting == setting]
    unsaved = [one for one in references if not one.get("saved_file")]
    if unsaved:
        values["reference_prompt"] = [one.get("prompt") for one in unsaved]
    seeds = [one.get("seed") for one in unsaved if one.get("seed") is not None]
    values.update({"seed": seeds[0]} if seeds else {})
    return values, origins, needs


def _find_files(
    parts: Sequence[Mapping[str, Any]], digest: str, places: Mapping[str, str]
) -> tuple[list[Origin], list[Need]]:
    """The files of which parts have a digest under this name, and a need where one does not say where it lies."""
    origins: list[Origin] = []
    needs: dict[str, Need] = {}
    for part in parts:
        if not part.get(digest):
            continue
        named = [(setting, part[place]) for place, setting in places.items() if part.get(place)]
        if named and isinstance(named[0][1], str):
            setting, path = named[0]
            again = " ".join(str(other[place]) for other in parts for place in places if other.get(place))
            origins.append(Origin(setting, Path(path), str(part[digest]), again=again, hash_content=_hash_file))
        else:
            setting = next(iter(places.values()))
            needs[setting] = Need((setting,), f"it does not say where its {setting} lies: give --{setting}")
    return origins, list(needs.values())


def _hash_file(path: Path) -> str:
    return hash_files([path])


def _list_parts(subject: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The mappings of a list; none where it is something else."""
    listed = subject.get(name)
    return [part for part in listed if isinstance(part, dict)] if isinstance(listed, list) else []


def _read_number(value: Any) -> Optional[int]:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _explain_number(number: int, target: Mapping[str, Any]) -> str:
    return (
        f"it was picture {number} behind the reference of its set, and seeds count on: give --prompt with so many "
        f"texts, {target.get('prompt')!r} as the last"
    )
