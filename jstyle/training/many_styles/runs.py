"""One style's training: its settings, what it is by content, its task, and how far it is.

What a run is ("meaning") names its pictures by content and leaves out what cannot change the result. Its digest, the
identity, tells results apart before there are any: a picture that is made with one is known by it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, Literal, Mapping, Optional, Sequence, cast

from jstyle.competition.fields import build
from jstyle.competition.settings import Model
from jstyle.competition.yaml_files import merged
from jstyle.files import hash_files, write_text
from jstyle.jobs.task import Task

OWN = ("data", "output", "model", "revision", "variant", "backend")
"""The settings of a trainer that the job provides."""

RECORD = "trained.json"
"""In a run's folder: what it is, and, when it is finished, its result's hash."""

LOG = "train.log"

# What does not change a result: where things lie, what is only shown, what trades time for memory.
_FREE = (
    "data",
    "output",
    "model",
    "revision",
    "variant",
    "recompute",
    "validation_prompts",
    "validation_every",
    "validation_steps",
    "guidance",
)
# What changes no kernel.
_NUMBERS = ("prompt", "class_prompt", "class_images", "token", "seed", "rate", "steps", "warmup")
_HASHED = 256 << 20  # bytes; of larger results the size alone is compared when one looks for what is finished

State = Literal["finished", "missing", "begun", "damaged", "other"]


@dataclass(frozen=True)
class TrainMethod:
    """A way to teach a style.

    ``settings`` is its dataclass, with the fields of `OWN` and ``loop.steps``; ``train(settings)`` goes on from the
    checkpoint in ``settings.output`` and writes ``result``, a file below it; ``adapter`` is the kind of loader that
    puts that file on a model, None where there is none.
    """

    settings: type
    train: Callable[[Any], Path]
    result: str
    adapter: Optional[str] = None


@dataclass(frozen=True)
class Run:
    """``place`` is the run's folder and ``result`` its file, both below the folder of all runs."""

    style: str
    method: str
    adapter: Optional[str]
    settings: Any
    meaning: Mapping[str, Any]
    identity: str
    place: str
    result: str

    @property
    def steps(self) -> int:
        """Updates in all."""
        return self.settings.loop.steps


def settings_of(
    method: TrainMethod, values: Mapping[str, Any], given: Mapping[str, Any], style: str, where: str
) -> Any:
    """A trainer's settings from what a recipe says (``values``) and what the job provides (``given``).

    "{style}" in a text stands for the style's name. Raises ValueError, one line that starts with ``where``.
    """
    refuse(values, (*OWN, *given), where)
    word = re.sub(r"[^\w-]+", "_", style)
    base = {
        field.name: asdict(field.default_factory())  # type: ignore[misc]
        for field in fields(cast(Any, method.settings))
        if callable(field.default_factory) and is_dataclass(field.default_factory())
    }
    return build(method.settings, {**merged(base, _filled(values, word)), **given}, where)


def refuse(values: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    """Raises ValueError where a recipe says what the job provides."""
    for name in names:
        if name in values:
            raise ValueError(f"{where}: {name} is the job's own")


def planned(
    name: str,
    method: TrainMethod,
    values: Mapping[str, Any],
    *,
    style: str,
    pictures: Sequence[Path],
    model: Model,
    model_hash: str,
    place: Optional[str] = None,
    where: str = "recipe",
) -> Run:
    """The run of one style by the method called ``name``. Without ``place`` its folder is named by its identity.

    Raises ValueError for settings that make no sense.
    """
    given: Dict[str, Any] = {key: getattr(model, key) for key in ("model", "revision", "variant", "backend")}
    given.update(data=tuple(path.resolve() for path in pictures), output=Path())
    given.update({key: getattr(model, key) for key in ("width", "height") if getattr(model, key) is not None})
    settings = settings_of(method, values, given, style, where)
    kept = {key: value for key, value in plain(settings).items() if key not in _FREE}
    kept["loop"] = {key: value for key, value in kept["loop"].items() if key != "checkpoint_every"}
    meaning = {"method": name, "model_hash": model_hash, "pictures": content(pictures), "settings": kept}
    identity = hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()
    folder = place or f"{style}/{name}-{identity[:12]}"
    return Run(style, name, method.adapter, settings, meaning, identity, folder, f"{folder}/{method.result}")


def task(run: Run, root: Path, code: str) -> Task:
    """Plain data for a worker; the result is written below ``root``. ``code`` names the code that trains."""
    settings = plain(replace(run.settings, output=(root / run.place).resolve()))
    shape = _without(run.meaning["settings"], _NUMBERS)
    kind = hashlib.sha256(json.dumps([run.method, run.meaning["model_hash"], shape]).encode()).hexdigest()[:16]
    data = {"method": run.method, "settings": settings, "meaning": run.meaning, "code": code}
    return Task(run.place, data, kind)


def state(run: Run, root: Path) -> State:
    """How far a run is; "other" where another run's result, or half of it, stands in its place."""
    record = read_record(root / run.place)
    if record is None:
        return "missing"
    if record.get("meaning") != json.loads(json.dumps(run.meaning)):
        begun = record.get("finished") or any((root / run.place / "checkpoint").glob("step-*"))
        return "other" if begun else "missing"  # a run that has failed before its first step is nothing to keep
    if not record.get("finished"):
        return "begun"
    return "finished" if _is_whole(root / run.result, record["finished"]) else "damaged"


def read_record(folder: Path) -> Optional[Dict[str, Any]]:
    """What `begin` and `finish` wrote, None where there is nothing that can be read."""
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def begin(folder: Path, result: Path, meaning: Mapping[str, Any]) -> None:
    """A run starts or goes on. A result that was not finished is removed: it is written anew at the end."""
    record = read_record(folder)
    if record is not None and record.get("meaning") == json.loads(json.dumps(meaning)):
        top = folder / result.relative_to(folder).parts[0]
        shutil.rmtree(top, ignore_errors=True) if top.is_dir() else top.unlink(missing_ok=True)
    write_text(folder / RECORD, json.dumps({"meaning": meaning, "finished": None}, indent=1) + "\n")


def finish(folder: Path, result: Path, meaning: Mapping[str, Any], code: str, seconds: float) -> str:
    """Record a result. Returns its hash."""
    told = {"hash": hash_files([result]), "bytes": result.stat().st_size, "code": code, "seconds": round(seconds, 2)}
    write_text(folder / RECORD, json.dumps({"meaning": meaning, "finished": told}, indent=1) + "\n")
    return told["hash"]


def plain(settings: Any) -> Dict[str, Any]:
    """Settings as JSON holds them."""
    return json.loads(json.dumps(asdict(settings), default=str))


def content(pictures: Sequence[Path]) -> str:
    """SHA-256 over pictures, their names and the texts beside them: all that captions are made of."""
    digest = hashlib.sha256()
    for path in pictures:
        text = path.with_suffix(".txt")
        said = text.read_bytes() if text.is_file() else b""
        for part in (path.stem.encode("utf-8", "surrogateescape"), path.read_bytes(), said):
            digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _filled(value: Any, style: str) -> Any:
    if isinstance(value, str):
        return value.replace("{style}", style)
    if isinstance(value, Mapping):
        return {key: _filled(one, style) for key, one in value.items()}
    return [_filled(one, style) for one in value] if isinstance(value, (list, tuple)) else value


def _without(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, dict):
        return {key: _without(one, names) for key, one in value.items() if key not in names}
    return value


def _is_whole(result: Path, told: Mapping[str, Any]) -> bool:
    try:
        size = result.stat().st_size
    except OSError:
        return False
    return size == told["bytes"] and (size > _HASHED or hash_files([result]) == told["hash"])
