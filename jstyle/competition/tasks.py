"""Planned pictures become tasks: plain data that says what a picture is, and where things lie.

What a picture is ("meaning") names files by their content alone. So a picture belongs to its settings wherever
folders are moved, and a changed reference makes another picture.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Tuple

from jstyle.competition.recipe import Methods, Planned, named_reference, reference_or_file
from jstyle.competition.settings import RULES, Model
from jstyle.competition.submission import picture_name
from jstyle.jobs.task import Task
from jstyle.samplers import sampler
from jstyle.weights import fingerprint


def tasks(planned: Iterable[Planned], model: Model, model_hash: str, size: Tuple[int, int], folder: Path) -> List[Task]:
    """A task for each picture, to be written under ``folder``. ``size`` is (width, height) in pixels."""
    digests: Dict[Path, str] = {}
    made = []
    for one in planned:
        files: Dict[str, str] = {}

        def named(paths: Iterable[Path], files: Dict[str, str] = files) -> List[str]:
            for path in paths:
                if path not in digests:
                    digests[path] = fingerprint([path])
                files[digests[path]] = str(path.resolve())
            return [digests[path] for path in paths]

        meaning = {"model_hash": model_hash, "precision": model.precision, "width": size[0], "height": size[1]}
        meaning.update(_meaning(one, named))
        name = picture_name(one.style.number, one.prompt)
        data = {"meaning": meaning, "files": files, "output": str((Path(folder) / name).resolve())}
        made.append(Task(name, data, _kind(meaning)))
    return made


def evaluations(one: Planned, methods: Methods, default_sampler: str) -> int:
    """The latents that a picture sends through the UNet; under guidance each counts twice."""
    picture = one.picture
    start = 0 if picture.start is None else picture.steps - int(picture.steps * picture.start.strength)
    calls = sampler(picture.sampler or default_sampler).calls(picture.steps, start)
    count = calls * (1 if picture.guidance == 1.0 else 2)
    if picture.finish is not None:
        count += methods.finishes[picture.finish.method].evaluations(picture.finish.settings)
    return count


def _meaning(one: Planned, named: Any) -> Dict[str, Any]:
    picture, style = one.picture, one.style
    meaning: Dict[str, Any] = {
        "method": "submission",
        "prompt": picture.prompt.format(prompt=one.prompt, style=style.number),
        **{key: getattr(picture, key) for key in ("negative_prompt", "sampler", "steps", "guidance", "eta", "seed")},
        "start": None,
        "adapters": [],
        "finish": None,
    }
    if picture.start is not None:
        chosen = picture.start.image
        paths = style.references if chosen == "mean" else [reference_or_file(chosen, style, "start.image")]
        meaning["start"] = {"strength": picture.start.strength, "mean_of": named(paths)}
    for adapter in picture.adapters:
        digest = named([Path(adapter.file.format(style=style.number))])[0]
        meaning["adapters"].append({"kind": adapter.kind, "file": digest, "weight": adapter.weight})
    if picture.finish is not None:
        rule = picture.finish.reference
        paths = style.references if rule in RULES else [named_reference(rule, style, "finish.reference")]
        meaning["finish"] = {
            **asdict(picture.finish),
            "reference": rule if rule in RULES else "first",
            "references": named(paths),
        }
    return meaning


def _kind(meaning: Mapping[str, Any]) -> str:
    """What decides which kernels are compiled: sizes and methods, no numbers."""
    finish = meaning["finish"] and (meaning["finish"]["method"], sorted(meaning["finish"]["settings"].items(), key=str))
    parts = [meaning[key] for key in ("model_hash", "precision", "width", "height", "sampler")]
    parts += [meaning["guidance"] != 1.0, meaning["start"] is not None, finish]
    parts += [adapter["kind"] for adapter in meaning["adapters"]]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
