"""Forms are made from the tables, and what comes back from one is read by the one reader, with no path in it."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from jstyle.errors import InputError
from jstyle.methods.table import METHODS
from jstyle.settings.fields import join_flat
from jstyle.settings.options import Option, list_options
from jstyle.training.teaching.table import TEACHINGS
from jstyle.web.forms import Field, build_settings, list_fields, read_form
from jstyle.web.offers import choose, name_all
from jstyle.web.works import Work, list_works

WORKS = list_works()
OFFERS = {
    "model": {"tiny": "tiny", "sd21": "/models/sd21"},
    "lora": {"ink": "/loras/ink.safetensors"},
    "words": {},
    "controlnet": {"tiny": "tiny"},
    "preset": {"baseline": "baseline"},
}
FREE_TEXTS = {
    "base", "class_prompt", "initial", "negative_prompt", "prompt", "reference_prompt", "style", "style_text", "target",
    "token", "training.prompt", "training.token", "training.validation_prompts", "validation_prompts", "blend_words",
    "styles",
    "picture",
}  # fmt: skip
"""Settings that are texts and name no file: looked at one by one. One that names a file is a `Source` or a path."""


def admit(upload: Any) -> str:
    return f"/kept/{upload}"


def read(work: str, given: dict[str, Any]) -> dict[str, Any]:
    return read_form(list_fields(WORKS[work]), given, OFFERS, admit, 4)


def find(work: str, name: str) -> Field:
    return next(field for field in list_fields(WORKS[work]) if field.name == name)


def test_every_method_and_way_to_teach_has_a_form() -> None:
    assert set(WORKS) == {*METHODS, *(f"train_{name}" for name in TEACHINGS), "submit"}
    for work in WORKS.values():
        names = [field.name for field in list_fields(work)]
        assert len(set(names)) == len(names)
        known = {".".join(option.path) for option in list_options(join_flat(work.kinds), {})}
        assert set(work.foremost) <= known, f"{work.name} has no {set(work.foremost) - known}"


def hold_texts(hint: Any) -> bool:
    return hint is str or any(map(hold_texts, typing.get_args(hint)))


@pytest.mark.parametrize("work", list(WORKS.values()), ids=list(WORKS))
def test_no_field_takes_a_path(work: Work) -> None:
    for field in list_fields(work):
        if field.kind in ("pictures", "name", "names"):
            continue
        assert field.option.inner is not Path
        is_text = hold_texts(field.option.hint) and field.kind in ("text", "texts", "words")
        named = typing.get_origin(field.option.inner) is Mapping  # words of a prompt, with numbers
        assert not is_text or named or field.name in FREE_TEXTS, f"is {field.name} of {work.name} a file?"


def required() -> Iterator[tuple[Work, Option]]:
    for work in WORKS.values():
        for option in list_options(join_flat(work.kinds), {}):
            if option.default is dataclasses.MISSING and option.path not in (("output",), ("data",)):
                yield work, option


def test_what_must_be_given_can_be() -> None:
    for work, option in required():
        assert option.path in [field.option.path for field in list_fields(work)], f"{work.name}: {option.name}"


@pytest.mark.parametrize("work", list(WORKS.values()), ids=list(WORKS))
def test_a_form_as_it_is_shown_says_nothing(work: Work) -> None:
    """What nobody touched is no setting, so that a setting's absence still means what it means elsewhere."""
    shown = {field.name: json.loads(json.dumps(field.value)) for field in list_fields(work)}
    shown["model"] = "tiny" if any(field.name == "model" for field in list_fields(work)) else None
    given = {name: value for name, value in shown.items() if value is not None}
    if work.name == "artfusion":
        given.pop("model")
    values = read(work.name, given)
    assert set(values) <= {"model"} and values.get("model", "tiny") == "tiny"


def test_values_become_settings(tmp_path: Path) -> None:
    given = {
        "content": ["a.png", "b.png"],
        "style": ["c.png"],
        "gamma": 0.3,
        "steps": 20.0,
        "layers": "6 7",
        "width": "512",
        "lora": ["ink:0.5"],
        "model": "sd21",
        "inversion": "target",
    }
    inputs, settings, model = build_settings(WORKS["styleid"], read("styleid", given), tmp_path)
    assert inputs.content == (Path("/kept/a.png"), Path("/kept/b.png")) and inputs.output == tmp_path
    assert (settings.gamma, settings.steps, settings.layers) == (0.3, 20, (6, 7))
    assert (settings.width, settings.height, settings.inversion) == (512, None, "target")
    assert (model.model, model.lora) == ("/models/sd21", ("/loras/ink.safetensors:0.5",))


def test_nested_settings_and_texts_a_line(tmp_path: Path) -> None:
    given = {"data": ["a.png"], "prompt": "in style_1", "loop.steps": 20, "validation_prompts": "a cat\n\n a dog "}
    (settings,) = build_settings(WORKS["train_lora"], read("train_lora", given), tmp_path)
    assert settings.loop.steps == 20 and settings.loop.rate == 1e-4
    assert settings.validation_prompts == ("a cat", "a dog")


@pytest.mark.parametrize(
    ("work", "given", "line"),
    [
        ("styleid", {"content": ["a.png"]}, "style is missing"),
        ("styleid", {"gamma": 2.0, "content": ["a"], "style": ["b"]}, "gamma must be from 0 to 1"),
        ("styleid", {"gama": 0.5}, "unknown setting 'gama' (did you mean gamma?)"),
        ("styleid", {"output": "/etc"}, "unknown setting 'output'"),
        ("styleid", {"model": "/etc/passwd"}, "model must be one of tiny, sd21, not '/etc/passwd'"),
        ("styleid", {"lora": ["/etc/passwd:1"]}, "lora must be one of ink, not '/etc/passwd:1'"),
        ("styleid", {"lora": ["ink:much"]}, "lora must be one of ink, not 'ink:much'"),
        ("styleid", {"words": ["x"]}, "words must be one of none, as none is offered"),
        ("styleid", {"model": ["tiny", "sd21"]}, "Model: choose from what is offered"),
        ("styleid", {"content": ["a"] * 5}, "Content: 5 pictures, and 4 are taken at once"),
        ("imagic", {"image": ["a", "b"]}, "Image: one picture is taken, not 2"),
        ("styleid", {"width": "wide", "content": ["a"], "style": ["b"]}, "width must be a whole number"),
        ("styleid", {"steps": None, "content": ["a"], "style": ["b"]}, "steps must be a whole number"),
        ("styleid", {"steps": 20.5, "content": ["a"], "style": ["b"]}, "steps must be a whole number"),
        ("txt2img", {"prompt": "a", "sampler": "eule"}, "sampler must be one of"),
        ("txt2img", {"prompt": "  \n"}, "prompt is missing"),
    ],
)
def test_a_wrong_value_is_one_line(work: str, given: dict[str, Any], line: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        build_settings(WORKS[work], read(work, given), tmp_path)
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_offers_have_names_of_their_own() -> None:
    named = name_all(["/a/ink.safetensors", "/b/ink.safetensors", "owner/name"])
    assert named == {
        "ink.safetensors": "/a/ink.safetensors",
        "ink.safetensors (2)": "/b/ink.safetensors",
        "name": "owner/name",
    }
    assert choose("lora", "ink.safetensors (2):0.5", named) == "/b/ink.safetensors:0.5"
    with pytest.raises(InputError):
        choose("model", "ink.safetensors:0.5", named)  # a model has no weight
