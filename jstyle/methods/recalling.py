"""The settings that a picture's file holds, for another picture: what jstyle wrote there, or A1111's web UI.

A picture comes from anybody. Its texts are read as configs are: names and types are checked, in bounded memory, and the
files that it names are taken where they are what it says of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jstyle.errors import InputError
from jstyle.methods.from_python import list_needs
from jstyle.methods.parameters import recall_parameters
from jstyle.methods.recalled import Need, Origin, Recalled, list_adapters, list_control_origins
from jstyle.methods.table import METHODS, Method
from jstyle.pictures.a1111 import read_parameters
from jstyle.pictures.png_texts import SHEET_MARK, read_texts
from jstyle.settings.fields import join_flat, level_fields
from jstyle.settings.json_files import parse_json
from jstyle.settings.messages import one_line, show
from jstyle.settings.reader import check
from jstyle.table import load_attribute

_GIVE = "give a picture of jstyle's or of A1111's web UI"


def recall_settings(method: Method, kinds: Sequence[type], path: Path, given: Collection[str] = ()) -> Recalled:
    """What a picture says of its settings, for a command of ``method`` whose settings are of ``kinds``.

    Settings that are ``given`` beside it are not taken from it. Raises InputError, one line, for a file that says
    nothing, or nothing that can be read, a picture of another method, and values of wrong types.
    """
    ours, theirs = read_texts(path)
    if ours:
        recalled = _recall_ours(method, ours, path, theirs)
    elif theirs:
        recalled = _recall_theirs(method, theirs, path)
    else:
        raise InputError(f"{str(path)!r} says nothing of its settings: {_GIVE}")
    joined = join_flat(kinds)
    known = level_fields(joined)
    values = {name: value for name, value in recalled.values.items() if name in known}
    check(joined, values, f"the settings in {str(path)!r}")
    unknown = [name for name in recalled.values if name not in known]
    lines = [*recalled.lines, *([f"{method.command} has no {', '.join(map(show, unknown))}"] if unknown else [])]
    needs = [need for need in recalled.needs if known.keys() >= set(need.settings)]
    lines = [one_line(f"{path}: {line}") for line in lines]
    found = replace(recalled, values=values, lines=lines, needs=needs, picture=path, kind=method.model)
    return found.without(given)


def _recall_ours(method: Method, text: str, path: Path, theirs: str) -> Recalled:
    try:
        about = parse_json(text.encode("utf-8", "replace"), "their text")
    except InputError as error:
        raise InputError(one_line(f"the settings in {str(path)!r} are spoilt: {error}")) from None
    if not isinstance(about, dict) or not isinstance(about.get("spec", {}), dict):
        raise InputError(f"the settings in {str(path)!r} are spoilt: they are no picture's of jstyle")
    if about.get("kind") == SHEET_MARK["kind"]:
        raise InputError(f"{str(path)!r} is a contact sheet: give one of its pictures")
    if "spec" in about:
        return _recall_spec(method, about["spec"], path)
    if theirs:
        return _recall_theirs(method, theirs, path)
    raise InputError(f"{str(path)!r} says nothing of its settings: {_GIVE}")


def _recall_theirs(method: Method, text: str, path: Path) -> Recalled:
    parameters = read_parameters(text)
    if not parameters.fields:
        raise InputError(
            f"the text 'parameters' in {str(path)!r} has no line of settings, such as 'Steps: 20, Sampler: Euler a, "
            f"CFG scale: 7': {_GIVE}"
        )
    return _fit_prompt(method, recall_parameters(parameters))


def _fit_prompt(method: Method, recalled: Recalled) -> Recalled:
    """A prompt as the method's inputs have it: texts, or one; not where a prompt is not what is drawn."""
    values, inputs = dict(recalled.values), level_fields(method.inputs)
    (text,) = values.pop("prompt")
    if "prompt" not in inputs:
        return replace(recalled, values=values, lines=[*recalled.lines, f"not taken over: {show(text)}"])
    _, hint = inputs["prompt"]
    return replace(recalled, values={"prompt": text if hint is str else [text], **values})


def _recall_spec(method: Method, spec: Mapping[str, Any], path: Path) -> Recalled:
    """Values of what `jstyle.pictures.finished` wrote."""
    name = spec.get("method")
    model, settings, subject = (spec.get(part) for part in ("model", "settings", "subject"))
    if not (isinstance(model, dict) and isinstance(settings, dict) and isinstance(subject, dict)):
        raise InputError(f"{str(path)!r} was made by a recipe or a training, whose settings are no command's")
    if name != method.name:
        other = METHODS.get(name) if isinstance(name, str) else None
        advice = f": jstyle {other.command} --from takes them" if other else ""
        raise InputError(f"{str(path)!r} holds the settings of {show(name)}, not of {method.name}{advice}")
    recalled: Recalled = load_attribute(method.recall)(subject, settings)
    known = level_fields(method.model)
    of_model = {field: model[field] for field in ("precision", "backend", "vae_tiling") if field in {*model} & {*known}}
    if model.get("name"):
        of_model["model"] = model["name"]
    beyond, named = spec.get("beyond"), model.get("named")
    needs = list_needs(beyond, model) if isinstance(beyond, dict) else []
    if beyond is not None and not model.get("name"):
        needs.append(Need(("model",), "it does not say from where its model was loaded: give --model"))
    of_model.update(named if isinstance(named, dict) else {})
    return replace(
        recalled,
        values={**of_model, **settings, **recalled.values},
        origins=[*recalled.origins, *list_adapters(model)],
        needs=[*recalled.needs, *needs],
        model=model,
    )


def recall_pair(subject: Mapping[str, Any], settings: Mapping[str, Any]) -> Recalled:
    """Content and style of a pair's picture, and the maps that steered it, unless they were made of the content."""
    origins, needs = list_origins(subject, ("content", "style"))
    values = {origin.setting: [str(origin.path)] for origin in origins}
    controls = list_control_origins(subject, settings)
    maps = [origin for origin in controls if origin.setting == "control"]
    if all(origin.digest == subject.get("content") for origin in maps):
        controls = [origin for origin in controls if origin not in maps]
    else:
        values["control"] = [str(origin.path) for origin in maps]
    return Recalled(values, origins=[*origins, *controls], needs=needs)


def list_origins(subject: Mapping[str, Any], settings: Sequence[str]) -> tuple[list[Origin], list[Need]]:
    """The files that a subject names beside their digests, and a need for each of which only the digest is known."""
    origins, needs = [], []
    for setting in settings:
        path, digest = subject.get(f"{setting}_file"), subject.get(setting)
        if path and isinstance(path, str):
            origins.append(Origin(setting, Path(path), digest if isinstance(digest, str) else ""))
        elif path or digest:
            needs.append(Need((setting,), f"it does not say where its {setting} lies: give --{setting}"))
    return origins, needs
