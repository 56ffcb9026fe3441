"""What a training's folder says of it: ``trained.json``, written when it begins and when it is finished."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal, Optional

from jstyle.errors import InputError
from jstyle.files import hash_files, read_code_version, write_text
from jstyle.pictures.finished import keep_names
from jstyle.settings.identity import digest, find_difference, identity
from jstyle.settings.json_files import read_json
from jstyle.training.many_styles.spec import StyleTraining, TrainingSpec

RECORD = "trained.json"
"""What decides the training's result, its identity, its pictures' names, and, when it is finished, its result's hash.

No folder of a machine is named: the same training says the same wherever it lies."""

LOG = "train.log"

_LARGEST = 64 << 20  # bytes; a record names every picture
_STEPS = "settings.loop.steps"
_HASHED = 256 << 20  # bytes; of larger results the size alone is compared when one looks for what is finished

State = Literal["finished", "missing", "begun", "shorter", "damaged", "other"]


def read_state(training: StyleTraining, root: Path) -> State:
    """How far a training is; "shorter" where it was begun with fewer updates at a constant rate, from which it goes on,
    "other" where another one's result, or half of it, stands in its place.
    """
    folder = root / training.place
    record = read_record(folder)
    if record is None:
        return "missing"
    if record.get("identity") != training.identity:
        is_begun = record.get("finished") or any((folder / "checkpoint").glob("step-*"))
        if not is_begun:
            return "missing"  # what has failed before its first step is nothing to keep
        return "shorter" if _is_shorter(record, training) else "other"
    if not record.get("finished"):
        return "begun"
    return "finished" if _is_whole(root / training.result, record["finished"]) else "damaged"


def describe_difference(training: StyleTraining, root: Path) -> str:
    """What the training that stands in the place of this one was trained with."""
    there = (read_record(root / training.place) or {}).get("spec")
    if isinstance(there, dict):
        wanted = identity(training.spec)
        difference = find_difference(wanted, keep_names(there, wanted))
        if difference is not None:
            path, now, then = difference
            prefix = "settings."
            name = path[len(prefix) :] if path.startswith(prefix) else path
            loop = training.settings.loop
            more = path == _STEPS and isinstance(then, int) and then < now
            why = f" ({loop.explain_fixed_steps()})" if more else ""
            return f"it was trained with {name} = {then!r}, not {now!r}{why}"
    return "another training's result is there"


def read_record(folder: Path) -> Optional[dict[str, Any]]:
    """What `begin` and `finish` wrote, None where there is nothing that can be read."""
    try:
        record = read_json(folder / RECORD, largest=_LARGEST)
    except InputError:
        return None
    return record if isinstance(record, dict) else None


def begin(folder: Path, result: Path, spec: TrainingSpec) -> None:
    """A training starts or goes on. A result that was not finished is removed: it is written anew at the end."""
    record = read_record(folder)
    if record is not None and record.get("identity") == digest(spec):
        top = folder / result.relative_to(folder).parts[0]
        shutil.rmtree(top, ignore_errors=True) if top.is_dir() else top.unlink(missing_ok=True)
    _write(folder, spec, None)


def finish(folder: Path, result: Path, spec: TrainingSpec, seconds: float) -> str:
    """Record a result. Returns its hash."""
    content, size = hash_files([result]), result.stat().st_size
    _write(folder, spec, {"hash": content, "bytes": size, "code": read_code_version(), "seconds": round(seconds, 2)})
    return content


def _write(folder: Path, spec: TrainingSpec, finished: Optional[dict[str, Any]]) -> None:
    names = [path.name for path in spec.settings.data]
    record = {"spec": identity(spec), "identity": digest(spec), "pictures": names, "finished": finished}
    write_text(folder / RECORD, json.dumps(record, indent=1) + "\n")


def _is_shorter(record: dict[str, Any], training: StyleTraining) -> bool:
    """Whether the record is of this training with fewer updates, which are the beginning of its own."""
    there, wanted = record.get("spec"), identity(training.spec)
    if not isinstance(there, dict) or training.settings.loop.schedule != "constant":
        return False
    difference = find_difference(wanted, keep_names(there, wanted))
    if difference is None or difference[0] != _STEPS or not isinstance(difference[2], int):
        return False
    fewer = {**there, "settings": {**there["settings"], "loop": {**there["settings"]["loop"], "steps": difference[1]}}}
    return difference[2] < difference[1] and find_difference(wanted, keep_names(fewer, wanted)) is None


def _is_whole(result: Path, finished: Any) -> bool:
    try:
        size = result.stat().st_size
    except OSError:
        return False
    if not isinstance(finished, dict) or size != finished.get("bytes"):
        return False
    return size > _HASHED or hash_files([result]) == finished.get("hash")
