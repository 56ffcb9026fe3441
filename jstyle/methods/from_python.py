"""What a picture that Python made was made with, and no command can be told: what must be given in its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jstyle.methods.recalled import Need
from jstyle.settings.messages import show

_INSTEAD: Mapping[str, tuple[tuple[str, ...], str]] = {
    "latents": (("seed",), "its noise was given in Python (latents): --seed draws another"),
    "prompt_embeds": (("prompt",), "its text was given in Python as prompt_embeds: give --prompt"),
    "negative_prompt_embeds": (
        ("negative_prompt",),
        "its negative text was given in Python as negative_prompt_embeds: give --negative_prompt",
    ),
    "image": (("image",), "what it started from was given in Python: give the file as --image"),
    "mask": (("mask",), "its mask was given in Python: give the file as --mask"),
}
"""By the names in `PictureSpec.beyond`: the settings that take the place of each, and what to say."""


def list_needs(beyond: Mapping[str, Any], model: Mapping[str, Any]) -> list[Need]:
    """The needs of a picture with these entries, and with that model."""
    return [need for name, value in beyond.items() for need in _explain(name, value, model)]


def _explain(name: str, value: Any, model: Mapping[str, Any]) -> Iterator[Need]:
    if name in _INSTEAD:
        yield Need(*_INSTEAD[name])
    elif name == "lora":
        loras = value.items() if isinstance(value, dict) else ()
        said = ", ".join(f"{name} at {show(weight)}" for name, weight in loras)
        yield Need(("lora",), f"its LoRAs were loaded in Python ({said}): give the files as --lora FILE:WEIGHT")
    elif name == "words":
        yield Need(("words",), f"its words were loaded in Python ({show(value)}): give the files as --words FILE")
    elif name == "scheduler":
        words = {"model": "", "sampler": model.get("sampler"), "sigmas": model.get("curve")}
        asked = {word: given for word, given in words.items() if given or word != "sigmas"}
        said = " and ".join(f"--{word} {given}".rstrip() for word, given in asked.items())
        yield Need(tuple(asked), f"its scheduler, {show(value)}, was put on the model in Python: give {said}")
    elif name not in ("step_seed", "fused", "cross_attention_scale"):  # said along with what they belong to
        yield Need((), f"it was made in Python with {name} = {show(value)}, which no command can be told")
