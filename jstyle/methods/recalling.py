"""The settings that a picture's file holds, for another picture: what jstyle wrote there, or A1111's web UI.

A picture comes from anybody. Its texts are read as configs are: names and types are checked, in bounded memory, and the
files that it names are taken where they are what it says of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from jstyle.errors import InputError
from jstyle.files import hash_files
from jstyle.methods.table import METHODS, Method
from jstyle.pictures.a1111 import CURVES, Parameters, find_sampler, read_parameters
from jstyle.pictures.images import read_texts
from jstyle.settings.fields import join_flat, level_fields
from jstyle.settings.json_files import parse_json
from jstyle.settings.messages import one_line, show
from jstyle.settings.reader import check
from jstyle.table import load_attribute

Recalled = tuple[dict[str, Any], list[str]]
"""Values of settings by their names, and lines on what was not taken over."""

_LARGEST_FILE = 1 << 29  # bytes of a picture that is started from
_LORA = re.compile(r"<(?:lora|lyco):([^<>:]*)(?::([^<>]*))?>")
_SAID = (
    "Sampler", "Schedule type", "Size", "Model", "Model hash", "Version", "RNG", "Emphasis", "Lora hashes", "TI hashes",
)  # fmt: skip
"""Fields of A1111's that are read together with others, or change nothing that jstyle could do."""


def recall_settings(method: Method, kinds: Sequence[type], path: Path) -> Recalled:
    """What a PNG says of its settings, for a command of ``method`` whose settings are of ``kinds``.

    Raises InputError, one line, for a file that says nothing, a picture of another method, and values of wrong types.
    """
    joined = join_flat(kinds)
    ours, theirs = read_texts(path)
    shown = f"the settings in {str(path)!r}"
    spec = parse_json(ours.encode(), shown) if ours else None
    spec = spec.get("spec") if isinstance(spec, dict) else None
    if isinstance(spec, dict):
        values, lines = _recall_spec(method, spec, path)
    elif theirs:
        values, lines = recall_parameters(read_parameters(theirs))
    else:
        raise InputError(f"{str(path)!r} says nothing of its settings: give a picture of jstyle's or of A1111's web UI")
    known = level_fields(joined)
    unknown = [name for name in values if name not in known]
    if unknown:
        lines.append(f"{method.command} has no {', '.join(map(show, unknown))}")
    values = {name: value for name, value in values.items() if name in known}
    check(joined, values, shown)
    return values, [one_line(f"{path}: {line}") for line in lines]


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
    recalled, lines = load_attribute(method.recall)(subject)
    known = ("precision", "backend", "vae_tiling")
    of_model = {field: model[field] for field in known if field in model}
    if model.get("name"):
        of_model["model"] = model["name"]
    named = model.get("named")
    of_model.update(named if isinstance(named, dict) else {})
    return {**of_model, **settings, **recalled}, lines


def recall_pair(subject: Mapping[str, Any]) -> Recalled:
    """Content and style, where their files are as they were."""
    lines: list[str] = []
    values = {}
    for name in ("content", "style"):
        path = find_same(subject.get(f"{name}_file"), subject.get(name), name, lines)
        values.update({} if path is None else {name: [path]})
    return values, lines


def find_same(path: Any, digest: Any, name: str, lines: list[str]) -> Optional[str]:
    """The path of a file that has this SHA-256; a line where there is none."""
    if not path and not digest:
        return None
    try:
        file = Path(str(path or ""))
        is_same = file.is_file() and file.stat().st_size <= _LARGEST_FILE and hash_files([file]) == digest
    except (OSError, ValueError):
        is_same = False
    if not is_same:
        lines.append(f"its {name} is not at {str(path)!r} any more: give --{name}")
    return str(path) if is_same else None


def recall_parameters(parameters: Parameters) -> Recalled:
    """Values of A1111's text. Its prompts have weights, and any length."""
    lines: list[str] = []
    prompt, negative = (_drop_loras(text, lines) for text in (parameters.prompt, parameters.negative_prompt))
    values: dict[str, Any] = {"prompt": [prompt], "negative_prompt": negative}
    values.update(prompt_weights="a1111", long_prompts="chunk")
    fields = parameters.fields
    numbers: Mapping[str, tuple[str, Callable[[str], Any]]] = {
        "Steps": ("steps", int),
        "CFG scale": ("guidance", float),
        "Seed": ("seed", int),
    }
    for name, (setting, kind) in numbers.items():
        if name in fields:
            values[setting] = _read_number(kind, fields[name], name)
    size = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", fields.get("Size", ""))
    if size:
        values.update(width=int(size[1]), height=int(size[2]))
    values.update(_recall_sampler(fields, lines))
    _tell_the_rest(fields, lines)
    return values, lines


def _drop_loras(text: str, lines: list[str]) -> str:
    """The text without what is no text in it, of which lines tell."""
    for name, weight in _LORA.findall(text):
        lines.append(f"the LoRA {name!r} is not taken over: give its file, --lora FILE:{weight or 1}")
    return _LORA.sub("", text).strip()


def _read_number(kind: Callable[[str], Any], text: str, name: str) -> Any:
    try:
        return kind(text) if len(text) < 30 else text
    except ValueError:
        raise InputError(f"{name} must be a number, not {show(text)}") from None


def _recall_sampler(fields: Mapping[str, str], lines: list[str]) -> dict[str, Any]:
    sampler, sigmas = find_sampler(fields)
    if sampler is None and "Sampler" in fields:
        lines.append(f"there is no sampler {fields['Sampler']!r}: the model's own draws, or name one by --sampler")
    kind = fields.get("Schedule type", "Automatic")
    if sampler is not None and kind not in (*CURVES.values(), "Automatic", "Uniform"):
        lines.append(f"there is no schedule type {kind!r}: the model's own spacing is taken")
    values: dict[str, Any] = {} if sampler is None else {"sampler": sampler, "sigmas": sigmas}
    if sampler == "ddim" and "Eta" in fields:
        values["eta"] = _read_number(float, fields["Eta"], "Eta")
    return values


def _tell_the_rest(fields: Mapping[str, str], lines: list[str]) -> None:
    taken = {*_SAID, "Steps", "CFG scale", "Seed", "Eta", "Denoising strength"}
    if fields.get("Clip skip") == "1":
        taken.add("Clip skip")
    if "Denoising strength" in fields:
        lines.append(f"what it started from is not in it: give --image and --strength {fields['Denoising strength']}")
    rest = [f"{name}: {value}" for name, value in fields.items() if name not in taken]
    if rest:
        lines.append(f"not taken over: {', '.join(rest)}")
    if not fields.get("Version", "").startswith("jstyle"):
        model = fields.get("Model") or fields.get("Model hash") or "another program"
        lines.append(f"made by {model}: name the model by --model; noise is drawn otherwise here, so it will differ")
