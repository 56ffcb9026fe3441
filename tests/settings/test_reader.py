"""The reader: mappings become settings and settings mappings; every mistake is one line with its place."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest

from jstyle.errors import InputError
from jstyle.settings.fields import field_docs, flat, free, is_flat, is_free
from jstyle.settings.model import ModelSettings
from jstyle.settings.reader import build, check, merged, plain
from tests.settings.samples import SAMPLES, Adapter, Everything, Inner, Job, Loop, Picture, Quick, Training, Whole

CONTENT = {"content": ["a"]}


def complaint(kind: type, values: object, place: str = "recipe") -> str:
    """The one line with which `values` are refused."""
    with pytest.raises(InputError) as caught:
        build(kind, values, place)
    line = str(caught.value)
    assert line.isprintable() and len(line) <= 500 and line.startswith(place)
    return line


@pytest.mark.parametrize("sample", SAMPLES)
def test_settings_survive_json(sample: Any) -> None:
    found = build(type(sample), json.loads(json.dumps(plain(sample), allow_nan=False)))
    assert found == sample and repr(found) == repr(sample)  # == takes 1 for 1.0 and True


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gama": 1}, "recipe: unknown setting 'gama' (did you mean gamma?)"),
        ({"qqq": 1}, "recipe: unknown setting 'qqq' (there are: content, layers, size, gamma,"),
        ({7: 1}, "recipe: unknown setting 7 (there are:"),
        ({}, "recipe: content is missing"),
        ({"content": "a"}, "recipe: content must be a list, not 'a'"),
        ({"content": ["a", 3]}, "recipe: content[1] must be a path, not 3"),
        ({**CONTENT, "layers": 5}, "recipe: layers must be a list, not 5"),
        ({**CONTENT, "layers": [1, "x"]}, "recipe: layers[1] must be a whole number, not 'x'"),
        ({**CONTENT, "size": [1, 2, 3]}, "recipe: size must be a list of 2 values, not [1, 2, 3]"),
        ({**CONTENT, "seed": "3"}, "recipe: seed must be a whole number, not '3'"),
        ({**CONTENT, "seed": True}, "recipe: seed must be a whole number, not true"),
        ({**CONTENT, "seed": 3.0}, "recipe: seed must be a whole number, not 3.0"),
        ({**CONTENT, "seed": 2**64}, "recipe: seed must be a whole number of 64 bits, not 18446744073709551616"),
        ({**CONTENT, "seed": 10**5000}, "recipe: seed must be a whole number of 64 bits, not"),
        ({**CONTENT, "gamma": "much"}, "recipe: gamma must be a number, not 'much'"),
        ({**CONTENT, "gamma": False}, "recipe: gamma must be a number, not false"),
        ({**CONTENT, "gamma": float("nan")}, "recipe: gamma must be a finite number, not nan"),
        ({**CONTENT, "gamma": float("-inf")}, "recipe: gamma must be a finite number, not -inf"),
        ({**CONTENT, "gamma": 10**400}, "recipe: gamma must be a number, not 1000"),
        ({**CONTENT, "features": "ram"}, "recipe: features must be one of memory, disk, not 'ram'"),
        ({**CONTENT, "features": ["disk"]}, "recipe: features must be one of memory, disk, not ['disk']"),
        ({**CONTENT, "adain": 1}, "recipe: adain must be true or false, not 1"),
        ({**CONTENT, "prompt": 12}, "recipe: prompt must be a text, not 12"),
        ({**CONTENT, "prompt": b"a"}, "recipe: prompt must be a text, not b'a'"),
        ({**CONTENT, "prompt": "a\udcffb"}, "recipe: prompt must be a text in UTF-8, not 'a\\udcffb'"),
        ({**CONTENT, "prompt": "a\0b"}, "recipe: prompt must be a text without zero bytes, not 'a\\x00b'"),
        ({"content": [""]}, "recipe: content[0] must be a path, not '' (write . for the current folder)"),
        ({"content": ["a\0b"]}, "recipe: content[0] must be a path without zero bytes, not 'a\\x00b'"),
        ({**CONTENT, "gamma": -2}, "recipe: gamma is -2.0: it must be at least 0"),
        ({**CONTENT, "inner": 5}, "recipe: inner must be settings (name: value), not 5"),
        ({**CONTENT, "inner": {"widht": 1}}, "recipe: inner: unknown setting 'widht' (did you mean width?)"),
        ({**CONTENT, "inner": {"width": []}}, "recipe: inner.width must be a whole number, not []"),
        ([1], "recipe: settings (name: value) are needed, not [1]"),
        (4, "recipe: settings (name: value) are needed, not 4"),
        ("content: [a]", "recipe: settings (name: value) are needed, not 'content: [a]'"),
        ({**CONTENT, "features": "a\n\x1b[31m\x00\udc80" + "b" * 9999}, "recipe: features must be one of"),
        ({"\x1b[31m": 1}, "recipe: unknown setting '\\x1b[31m'"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(values: object, message: str) -> None:
    assert complaint(Everything, values).startswith(message)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (Picture, {"adapters": {"kind": "lora"}}, "p: adapters must be a list, not {'kind': 'lora'}"),
        (Picture, {"adapters": [{"kind": "a"}, {}]}, "p: adapters[1].kind is missing"),
        (Picture, {"adapters": [{"knid": "a"}]}, "p: adapters[0]: unknown setting 'knid' (did you mean kind?)"),
        (Picture, {"start": {"width": "x"}}, "p: start.width must be a whole number, not 'x'"),
        (Picture, {"seed": "x"}, "p: seed must be a whole number or a list, not 'x'"),
        (Picture, {"seed": [1, "x"]}, "p: seed[1] must be a whole number, not 'x'"),
        (Picture, {"factor": True}, "p: factor must be one of 1, 2, not true"),
        (Picture, {"factor": 1.0}, "p: factor must be one of 1, 2, not 1.0"),
        (Picture, {"seed": {}}, "p: seed must be a whole number or a list, not {}"),
        (Picture, {"weights": {"a": "x"}}, "p: weights.a must be a number, not 'x'"),
        (Picture, {"weights": {1: 2.0}}, "p: weights: the name 1 must be a text: write it in quotes"),
        (Picture, {"shift": [None, 1]}, "p: shift[0] must be a whole number, not null"),
        (Adapter, {"kind": "a", "train": {"x": [float("inf")]}}, "p: train.x[0] must be a finite number, not inf"),
        (Adapter, {"kind": "a", "train": {"x": {2: 1}}}, "p: train.x: the name 2 must be a text"),
        (Adapter, {"kind": "a", "train": {"x": {1, 2}}}, "p: train.x must be a text, not {1, 2}"),
        (Training, {"loop": {"steps": 0}}, "p: loop.steps must be at least 1, not 0"),
        (Training, {"precision": "fp8"}, "p: precision must be one of fp32, bf16, fp16, not 'fp8'"),
        (Training, {"model": {"model": "tiny"}}, "p: model must be a text, not {'model': 'tiny'}"),
        (Whole, {}, "p: content is missing"),
        (Whole, {"contnet": []}, "p: unknown setting 'contnet' (did you mean content?)"),
    ],
)
def test_what_is_wrong_within_is_one_line_with_its_path(kind: type, values: object, message: str) -> None:
    assert complaint(kind, values, "p").startswith(message)


@pytest.mark.parametrize("kind", [Everything, Picture, Training, Whole])
def test_null_stands_only_where_nothing_is_a_value(kind: type) -> None:
    optional = {"mask", "seed", "share", "start", "sampler", "layers", "revision", "variant"}
    optional |= {"vae_weights", "base_model", "prediction_type"}
    base = CONTENT if kind in (Everything, Whole) else {}
    for name in plain(build(kind, base)):
        if name in optional and (kind, name) not in ((Picture, "seed"), (Everything, "layers"), (Whole, "layers")):
            build(kind, {**base, name: None})
            continue
        line = complaint(kind, {**base, name: None})
        assert line.startswith(f"recipe: {name} must be ") and "not null" in line
        assert line.endswith("(leave the line out for the default)") == (name != "content")


def test_a_long_refusal_is_cut() -> None:
    @dataclasses.dataclass(frozen=True)
    class Talkative:
        def __post_init__(self) -> None:
            raise ValueError("no " * 9999)

    assert complaint(Talkative, {}).endswith("...")


def test_an_empty_place_is_no_prefix() -> None:
    assert complaint(Everything, {}, "") == "content is missing"


def test_a_section_without_content_has_the_defaults() -> None:
    assert build(Inner, None, "inner") == Inner()
    check(Everything, None)


def test_values_of_python_are_taken() -> None:
    found = build(Everything, {"content": (Path("a"), "b"), "seed": np.int64(3), "gamma": np.float64(0.5)})
    assert found == Everything((Path("a"), Path("b")), seed=3, gamma=0.5)
    assert type(found.seed) is int and type(found.gamma) is float
    assert type(build(Everything, {**CONTENT, "gamma": 1}).gamma) is float
    assert build(Everything, {**CONTENT, "inner": Inner(8)}).inner == Inner(8)
    assert plain({"a": (np.float32(0.5), np.bool_(True), Path("b"))}) == {"a": [0.5, True, "b"]}


def test_what_a_dict_holds_becomes_plain_data() -> None:
    train = {"a": (1, Path("b")), "c": {"d": np.int32(3)}}
    assert build(Adapter, {"kind": "x", "train": train}).train == {"a": [1, "b"], "c": {"d": 3}}
    endless: dict = {}
    endless["again"] = endless
    assert "nests too deeply" in complaint(Adapter, {"kind": "x", "train": endless})


def test_a_nested_part_starts_from_the_holders_default() -> None:
    assert build(Training, {"loop": {"steps": 5}}).loop == Loop(5, 1e-4)
    assert build(Whole, {**CONTENT, "loop": {"rate": 1}}).training.loop == Loop(500, 1.0)
    assert build(Picture, {"start": {}}).start == Inner()


def test_a_flat_dataclass_stands_at_its_holders_level() -> None:
    found = build(Training, {"model": "a/b", "rank": 2, "vae_tiling": True})
    assert found == Training(rank=2, model=ModelSettings("a/b", precision="bf16", vae_tiling=True))
    assert plain(found)["model"] == "a/b" and plain(found)["precision"] == "bf16"
    assert build(Whole, CONTENT) == Whole(Everything((Path("a"),), gamma=0.5), Training(rank=8))


def test_a_flat_dataclass_without_a_value_of_its_own_has_no_default() -> None:
    with pytest.raises(TypeError):
        Whole()  # type: ignore[call-arg]
    assert Training().model.precision == "bf16"


def test_one_name_twice_at_a_level_is_a_defect() -> None:
    @dataclasses.dataclass(frozen=True)
    class Twice:
        output: str = ""
        job: Any = None

    Twice.__dataclass_fields__["job"].metadata = {**flat(Job).metadata}  # type: ignore[misc]
    Twice.__annotations__["job"] = Job
    with pytest.raises(TypeError, match="two settings of the name output"):
        build(Twice, {})


def test_check_asks_for_nothing_that_is_left_out_and_builds_nothing() -> None:
    check(Everything, {"gamma": -5})
    check(Training, {"loop": {"steps": 0}})
    check(Picture, {"adapters": [{}]})
    for values in ({"gama": 1}, {"gamma": "x"}, {"inner": {"width": "x"}}, {"seed": float("nan")}):
        with pytest.raises(InputError, match=r"^lora: "):
            check(Everything, values, "lora")
    with pytest.raises(InputError, match="loop.rate must be a number"):
        check(Training, {"loop": {"rate": None}}, "lora")


def test_narrow_settings_are_laid_over_wide_ones() -> None:
    wide, narrow = {"a": 1, "b": {"c": 2, "d": [3]}, "e": {"f": 1}}, {"b": {"d": [4, 5]}, "e": None, "g": {}}
    assert merged(wide, narrow) == {"a": 1, "b": {"c": 2, "d": [4, 5]}, "e": None, "g": {}}
    assert wide == {"a": 1, "b": {"c": 2, "d": [3]}, "e": {"f": 1}}


def test_fields_say_what_they_are() -> None:
    fields = {field.name: field for field in dataclasses.fields(Training)}
    assert is_free(fields["output"]) and not is_free(fields["rank"])
    assert is_flat(fields["model"]) and not is_flat(fields["loop"])
    assert field_docs(Training) == {"output": "Where the pictures go.", "loop": "How it is trained."}
    assert field_docs(Quick)["steps"] == "Few updates." and field_docs(Quick)["rate"] == "The learning rate."
    assert field_docs(Everything)["content"] == "Pictures, 100% of them, from files or folders."


def test_a_free_field_may_make_its_default() -> None:
    @dataclasses.dataclass(frozen=True)
    class Folder:
        names: Optional[list] = free(default_factory=list, because="they are shown")

    assert Folder().names == [] and Folder().names is not Folder().names
    assert field_docs(Folder) == {}


def test_a_file_may_have_a_name_that_is_no_text() -> None:
    assert build(Everything, {"content": ["a\udcffb"]}).content == (Path("a\udcffb"),)
