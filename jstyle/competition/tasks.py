"""Planned pictures become tasks: plain data that says what a picture is, and where things lie.

What a picture is ("meaning") names files by their content alone. So a picture belongs to its settings wherever
folders are moved, and a changed reference makes another picture.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Protocol, Tuple

from jstyle.competition.dataset import Style
from jstyle.competition.recipe import Methods, Planned, named_reference, reference_or_file, set_reference
from jstyle.competition.settings import RULES, Adapter, Model, StyleSet
from jstyle.competition.submission import picture_name
from jstyle.diffusion.samplers import sampler
from jstyle.files import hash_files
from jstyle.jobs.task import Task


class Trained(Protocol):
    """Where adapters are that are trained first."""

    def __call__(self, style: Style, adapter: Adapter) -> Tuple[str, Path]:
        """The identity of what is trained, and the file it lies in, or will."""
        ...


def tasks(
    planned: Iterable[Planned],
    model: Model,
    model_hash: str,
    size: Tuple[int, int],
    folder: Path,
    trained: Optional[Trained] = None,
) -> List[Task]:
    """A task for each picture, to be written under ``folder``. ``size`` is (width, height) in pixels."""
    digests: Dict[Path, str] = {}
    planned, made = list(planned), []
    firsts = {one.style.number: one for one in reversed(planned)}
    for one in planned:
        files: Dict[str, str] = {}

        def named(paths: Iterable[Path], files: Dict[str, str] = files) -> List[str]:
            for path in paths:
                if path not in digests:
                    digests[path] = hash_files([path])
                files[digests[path]] = str(path.resolve())
            return [digests[path] for path in paths]

        meaning: Dict[str, Any] = {"model_hash": model_hash, "precision": model.precision, "backend": model.backend}
        meaning.update(width=size[0], height=size[1])
        meaning.update(_meaning(one, named))
        meaning["adapters"] = [_adapter(one.style, adapter, named, trained, files) for adapter in one.picture.adapters]
        if one.picture.set is not None:
            meaning["set"] = _set(one.picture.set, one, firsts[one.style.number], named)
        name = picture_name(one.style.number, one.prompt)
        data = {"meaning": meaning, "files": files, "output": str((Path(folder) / name).resolve())}
        made.append(Task(name, data, _kind(meaning)))
    return made


def evaluations(planned: Iterable[Planned], methods: Methods, default_sampler: str) -> Dict[str, int]:
    """The latents that each picture, by its file's name, sends through the UNet; under guidance each counts twice.

    What is done once a set is counted with the set's first picture.
    """
    begun, counts = set(), {}
    firsts: Dict[str, str] = {}
    for one in planned:
        name = picture_name(one.style.number, one.prompt)
        firsts.setdefault(one.style.number, name)
        if one.picture.set is None:
            counts[name] = _sampling(one, default_sampler)
        else:
            is_reference = one.picture.set.reference == "prompt" and firsts[one.style.number] == name
            method = methods.sets[one.picture.set.method]
            own, shared = method.evaluations(one.picture, default_sampler, is_reference)
            set_of = repr((one.style.number, replace(one.picture, prompt="", seed=0)))
            counts[name] = own + (0 if set_of in begun else shared)
            begun.add(set_of)
        if one.picture.finish is not None:
            counts[name] += methods.finishes[one.picture.finish.method].evaluations(one.picture.finish.settings)
    return counts


def _sampling(one: Planned, default_sampler: str) -> int:
    picture = one.picture
    start = 0 if picture.start is None else picture.steps - int(picture.steps * picture.start.strength)
    calls = sampler(picture.sampler or default_sampler).calls(picture.steps, start)
    return calls * (1 if picture.guidance == 1.0 else 2)


def _text(one: Planned) -> str:
    return one.picture.prompt.format(prompt=one.prompt, style=one.style.number)


def _adapter(
    style: Style, adapter: Adapter, named: Any, trained: Optional[Trained], files: Dict[str, str]
) -> Dict[str, Any]:
    if adapter.train is None:
        (digest,) = named([Path((adapter.file or "").format(style=style.number))])
        return {"kind": adapter.kind, "file": digest, "weight": adapter.weight}
    assert trained is not None, "a plan with adapters to train says where they are"
    identity, file = trained(style, adapter)
    files[identity] = str(file.resolve())
    return {"kind": adapter.kind, "trained": identity, "weight": adapter.weight}


def _set(given: StyleSet, one: Planned, first: Planned, named: Any) -> Dict[str, Any]:
    meaning: Dict[str, Any] = {"method": given.method, "settings": dict(given.settings), "is_reference": False}
    path = set_reference(given, one.style, "set.reference")
    if path is None:
        reference: Dict[str, Any] = {"text": _text(first), "seed": first.picture.seed}
        meaning["is_reference"] = first is one
    else:
        words = " ".join(re.findall(r"[^\W_]+", path.stem.lower()))
        reference = {"text": given.text.format(name=words, style=one.style.number), "picture": named([path])[0]}
    return {**meaning, "reference": reference}


def _meaning(one: Planned, named: Any) -> Dict[str, Any]:
    picture, style = one.picture, one.style
    meaning: Dict[str, Any] = {
        "method": "submission",
        "prompt": _text(one),
        **{key: getattr(picture, key) for key in ("negative_prompt", "sampler", "steps", "guidance", "eta", "seed")},
        "start": None,
        "adapters": [],
        "set": None,
        "finish": None,
    }
    if picture.start is not None:
        chosen = picture.start.image
        paths = style.references if chosen == "mean" else [reference_or_file(chosen, style, "start.image")]
        meaning["start"] = {"strength": picture.start.strength, "mean_of": named(paths)}
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
    parts = [meaning[key] for key in ("model_hash", "precision", "backend", "width", "height", "sampler")]
    parts += [meaning["guidance"] != 1.0, meaning["start"] is not None, finish]
    parts += [adapter["kind"] for adapter in meaning["adapters"]]
    if meaning["set"]:
        parts += [meaning["set"]["method"], sorted(meaning["set"]["settings"].items(), key=str)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
