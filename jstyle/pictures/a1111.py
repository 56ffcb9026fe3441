"""A picture's settings as A1111's web UI writes them into its files, under "parameters": text, and back.

    a (red:1.2) boat
    Negative prompt: fog
    Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 5, Size: 512x512, Model: v1-5

Galleries and other programs read it. The form is that of `modules/processing.py` and `modules/infotext_utils.py`, 1.10.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Optional

from jstyle import __version__
from jstyle.settings.adapted import split_weight
from jstyle.settings.reader import plain
from jstyle.settings.vocabulary import BY_TIMES

SAMPLERS: Mapping[str, str] = {
    "ddim": "DDIM",
    "ddpm": "DDPM",
    "pndm": "PLMS",
    "pndm_rk": "PNDM",
    "lms": "LMS",
    "euler": "Euler",
    "euler_a": "Euler a",
    "heun": "Heun",
    "kdpm2": "DPM2",
    "kdpm2_a": "DPM2 a",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_3m": "DPM++ 3M",
    "dpmpp_2s": "DPM++ 2S",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_sde": "DPM++ SDE",
    "deis": "DEIS",
    "unipc": "UniPC",
    "lcm": "LCM",
    "tcd": "TCD",
}
"""Samplers by our names; DDPM, PNDM, DPM++ 3M, DPM++ 2S and DEIS are none of the web UI's, but of programs like it."""

CURVES: Mapping[str, str] = {
    "karras": "Karras",
    "exponential": "Exponential",
    "beta": "Beta",
    "ays": "Align Your Steps",
}

AUTOMATIC: Mapping[str, str] = {
    "dpmpp_2m": "karras",
    "dpmpp_sde": "karras",
    "dpmpp_2m_sde": "exponential",
    "kdpm2": "karras",
    "kdpm2_a": "karras",
}
"""The curve that the schedule type "Automatic" means there, where it means one."""

_NEGATIVE = "Negative prompt:"
_KEY = re.compile(r"\w[\w \-/]+")
_QUOTED = re.compile(r'\s*"((?:\\.|[^\\"])+)"[^,]*')
_LEAST = 3  # fields of a line that is no prompt
_BRACKETS = re.compile(r"[()\[\]\\]")
_HASH = 10  # digits of it that are shown


@dataclass(frozen=True)
class Parameters:
    """What the text says: two prompts, and fields by their names, such as "CFG scale"."""

    prompt: str
    negative_prompt: str
    fields: Mapping[str, str]


def write_parameters(spec: Any, size: tuple[int, int]) -> str:
    """The text of a picture of (width, height) pixels; of a spec without sampling steps there is none.

    In a prompt whose weights were not read, brackets are written as plain ones.
    """
    content = plain(spec)
    if not isinstance(content, dict):
        return ""
    values = _join(content)
    if "steps" not in values:
        return ""
    escapes = values.get("prompt_weights", "none") == "none"
    prompts = [str(values.get(name) or "") for name in ("prompt", "negative_prompt")]
    prompts = [_BRACKETS.sub(r"\\\g<0>", text) if escapes else text for text in prompts]
    prompts[0] += "".join(f" <lora:{name}>" for name in _name_loras(values))
    lines = [prompts[0], f"{_NEGATIVE} {prompts[1]}" if prompts[1] else "", ", ".join(_list_fields(values, size))]
    return "\n".join(line for line in lines if line)


def read_parameters(text: str) -> Parameters:
    """What a text says; of one without a line of settings all is prompt."""
    *lines, last = text.strip().split("\n")
    fields = dict(_split_fields(last))
    if len(fields) < _LEAST:
        lines, fields = [*lines, last], {}
    prompts: list[list[str]] = [[], []]
    which = 0
    for line in map(str.strip, lines):
        if line.startswith(_NEGATIVE):
            which, line = 1, line[len(_NEGATIVE) :].strip()
        prompts[which].append(line)
    return Parameters("\n".join(prompts[0]), "\n".join(prompts[1]), fields)


def find_sampler(fields: Mapping[str, str]) -> tuple[Optional[str], Optional[str]]:
    """Our sampler and curve of sigmas, None for what is not here. Older files have both in one name."""
    name, kind = fields.get("Sampler", ""), fields.get("Schedule type")
    for curve, title in CURVES.items():
        if name.endswith(f" {title}"):
            name, kind = name[: -len(title) - 1], CURVES[curve]
    sampler = next((ours for ours, theirs in SAMPLERS.items() if theirs == name), None)
    curve = next((ours for ours, theirs in CURVES.items() if theirs == kind), None)
    if kind == "Automatic" and sampler is not None:
        curve = AUTOMATIC.get(sampler)
    return sampler, None if sampler in BY_TIMES else curve


def _join(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a spec says on its own, in its settings and of its subject, at one level."""
    values = {name: value for name, value in content.items() if name not in ("settings", "subject")}
    for part in (content.get("settings"), content.get("subject")):
        values.update(part if isinstance(part, dict) else {})
    beyond = values.get("beyond") or {}
    return {**values, **{name: beyond[name] for name in ("image", "mask") if name in beyond}}


def _list_fields(values: Mapping[str, Any], size: tuple[int, int]) -> Iterator[str]:
    model: Mapping[str, Any] = values.get("model") or {}
    sampler = (values.get("sampler") or model.get("sampler") or "ddim") if "sampler" in values else None
    beyond = values.get("beyond") or {}
    bent = None if sampler in BY_TIMES else CURVES.get(values.get("sigmas") or model.get("curve") or "")
    curve = bent or ("Automatic" if sampler in BY_TIMES else "Uniform")
    fields = {
        "Steps": values["steps"],
        "Sampler": None if sampler is None else SAMPLERS.get(sampler, sampler),
        "Schedule type": None if sampler is None else curve,
        "CFG scale": values.get("guidance"),
        "Seed": values.get("seed"),
        "Size": "x".join(map(str, size)),
        "Model hash": str(model.get("hash", ""))[:_HASH] or None,
        "Model": _name_model(str(model.get("name", ""))) or None,
        "Denoising strength": _find_strength(values),
        "Eta": values.get("eta") or None,
        "Clip skip": beyond["clip_skip"] + 1 if isinstance(beyond.get("clip_skip"), int) else None,
        "Version": f"jstyle {__version__}",
    }
    for name, value in fields.items():
        if value is not None:
            yield f"{name}: {_quote(value)}"


def _find_strength(values: Mapping[str, Any]) -> Optional[float]:
    """The share of the steps that ran on a picture, where there was one."""
    if values.get("image"):
        return values.get("strength") or (1.0 if values.get("mask") else 0.8)
    start = values.get("start")
    return start.get("strength") if isinstance(start, dict) else values.get("image_strength") if start else None


def _name_loras(values: Mapping[str, Any]) -> Iterator[str]:
    """Names and weights, as the web UI has them in prompts; other brackets would end them."""
    named = ((values.get("model") or {}).get("named") or {}).get("lora") or ()
    loras = [(_name_model(str(path)), weight) for path, weight in map(split_weight, named)]
    loras += [*((values.get("beyond") or {}).get("lora") or {}).items()]
    for name, weight in loras:
        if isinstance(weight, (int, float)):
            yield f"{re.sub(r'[<>:]', '_', name)}:{weight:g}"


def _name_model(name: str) -> str:
    """The last part of a folder, a file or a hub id."""
    last = PurePath(name).name
    return last[: -len(".safetensors")] if last.endswith(".safetensors") else last


def _quote(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    return json.dumps(text, ensure_ascii=False) if set(text) & set(",:\n") else text


def _split_fields(line: str) -> Iterator[tuple[str, str]]:
    """Names and values between commas; a value in quotes may hold commas."""
    place, can_quote = 0, True
    while place < len(line):
        comma = line.find(",", place)
        end = len(line) if comma < 0 else comma
        name, colon, value = line[place:end].partition(":")
        if colon and can_quote and value.lstrip().startswith('"'):
            match = _QUOTED.match(line, place + len(name) + 1)
            can_quote = match is not None  # without an end here there is none further on
            if match is not None:
                end, value = match.end(), _unquote(match[1])
        if colon and _KEY.fullmatch(name.strip()):
            yield name.strip(), value.strip()
        place = end + 1


def _unquote(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text
