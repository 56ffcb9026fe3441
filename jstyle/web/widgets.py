"""A form's fields as Gradio's components."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr  # pyright: ignore[reportMissingImports]

from jstyle.web.forms import Field, Kind

MOST_HELP = 400
"""Characters of a help text below a field."""


def make_widget(field: Field, choices: list[str]) -> gr.components.Component:
    """The component of a field; ``choices`` are names of what is offered, where it is chosen from that."""
    label = field.label + (" *" if field.is_required else "")
    doc = "" if field.kind in ("name", "names") else field.option.doc  # which speaks of paths
    return _MAKERS[field.kind](field, choices, {"label": label, "info": doc[:MOST_HELP] or None})


def _make_pictures(field: Field, choices: list[str], said: Mapping[str, Any]) -> gr.components.Component:
    return gr.Gallery(
        label=said["label"],
        type="filepath",
        format="png",
        sources=["upload", "clipboard"],
        file_types=["image"],
        columns=3 if field.takes_several else 1,
        height=220,
        object_fit="contain",
        buttons=[],
        interactive=True,
    )


def _make_name(field: Field, choices: list[str], said: Mapping[str, Any]) -> gr.components.Component:
    shown = choices if field.is_required or field.option.default is not None else ["", *choices]
    value = field.value if field.value in shown else (shown[0] if shown else None)
    return gr.Dropdown(shown, value=value, **said)


def _make_names(field: Field, choices: list[str], said: Mapping[str, Any]) -> gr.components.Component:
    return gr.Dropdown(choices, value=field.value, multiselect=True, allow_custom_value=True, **said)


def _make_choice(field: Field, choices: list[str], said: Mapping[str, Any]) -> gr.components.Component:
    return gr.Dropdown([(word or "by default", word) for word in field.choices], value=field.value, **said)


def _make_choices(field: Field, choices: list[str], said: Mapping[str, Any]) -> gr.components.Component:
    return gr.Dropdown(list(field.choices), value=field.value, multiselect=True, **said)


def _make_switch(field: Field, choices: list[str], said: Mapping[str, Any]) -> gr.components.Component:
    return gr.Checkbox(bool(field.value), **said)


def _make_whole(field: Field, choices: list[str], said: Mapping[str, Any]) -> gr.components.Component:
    return gr.Number(field.value, precision=0, min_width=120, **said)


def _make_number(field: Field, choices: list[str], said: Mapping[str, Any]) -> gr.components.Component:
    return gr.Number(field.value, step=0.05, min_width=120, **said)


def _make_text(field: Field, choices: list[str], said: Mapping[str, Any]) -> gr.components.Component:
    return gr.Textbox(field.value, min_width=120, **said)


def _make_words(field: Field, choices: list[str], said: Mapping[str, Any]) -> gr.components.Component:
    return gr.Textbox(field.value, placeholder="by default", min_width=120, **said)


def _make_texts(field: Field, choices: list[str], said: Mapping[str, Any]) -> gr.components.Component:
    info = f"{said['info']} One a line."
    return gr.Textbox(field.value, lines=2, max_lines=12, label=said["label"], info=info)


_MAKERS: Mapping[Kind, Callable[[Field, list[str], Mapping[str, Any]], gr.components.Component]] = {
    "pictures": _make_pictures,
    "name": _make_name,
    "names": _make_names,
    "choice": _make_choice,
    "choices": _make_choices,
    "switch": _make_switch,
    "whole": _make_whole,
    "number": _make_number,
    "text": _make_text,
    "texts": _make_texts,
    "words": _make_words,
}
