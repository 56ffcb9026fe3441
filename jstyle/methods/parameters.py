"""A1111's text of a picture as values of settings. Its prompts have weights, and any length."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jstyle.errors import InputError
from jstyle.methods.recalled import Need, Recalled
from jstyle.pictures.a1111 import CURVES, Parameters, find_sampler
from jstyle.settings.messages import show

_LORA = re.compile(r"<(?:lora|lyco):([^<>:]*)(?::([^<>]*))?>")
_SAID = (
    "Sampler", "Schedule type", "Size", "Model", "Model hash", "Version", "RNG", "Emphasis", "Lora hashes", "TI hashes",
)  # fmt: skip
"""Fields of A1111's that are read together with others, or change nothing that jstyle could do."""

_STRENGTH = "Denoising strength"
_HIRES = "Hires "
_MASKED = ("Mask blur", "Inpaint area", "Masked content", "Masked area padding")


def recall_parameters(parameters: Parameters) -> Recalled:
    """What there is here of a text that has a line of settings."""
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
    return Recalled(values, lines, needs=list(_list_needs(fields)))


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


def _list_needs(fields: Mapping[str, str]) -> Iterator[Need]:
    """What an image-to-image's text leaves out: the pictures. With hires fix the strength is that one's."""
    if _STRENGTH not in fields or _is_hires(fields):
        return
    masked = any(name in fields for name in _MASKED)
    words = ["--image", *(["--mask"] if masked else []), f"--strength {fields[_STRENGTH]}"]
    reason = f"what it started from is not in it: give {', '.join(words[:-1])} and {words[-1]}"
    yield Need(("image", "mask", "strength") if masked else ("image", "strength"), reason)


def _tell_the_rest(fields: Mapping[str, str], lines: list[str]) -> None:
    taken = {*_SAID, "Steps", "CFG scale", "Seed", _STRENGTH}
    if find_sampler(fields)[0] == "ddim":
        taken.add("Eta")
    if fields.get("Clip skip") == "1":
        taken.add("Clip skip")
    if _is_hires(fields):
        of_hires = [name for name in fields if name.startswith(_HIRES) or name == _STRENGTH]
        taken.update(of_hires)
        said = ", ".join(f"{name}: {fields[name]}" for name in of_hires)
        lines.append(f"hires fix is not done here ({said}): the picture has its first size, {fields.get('Size')}")
    rest = [f"{name}: {value}" for name, value in fields.items() if name not in taken]
    if rest:
        lines.append(f"not taken over: {', '.join(rest)}")
    if not fields.get("Version", "").startswith("jstyle"):
        model = fields.get("Model") or fields.get("Model hash") or "another program"
        lines.append(f"made by {model}: name the model by --model; noise is drawn otherwise here, so it will differ")


def _is_hires(fields: Mapping[str, str]) -> bool:
    return any(name.startswith(_HIRES) for name in fields)
