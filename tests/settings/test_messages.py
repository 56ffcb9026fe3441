"""Settings are named in messages as they are given: by their options in words, by their dotted names in files."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import pytest

from jstyle.errors import InputError
from jstyle.settings.fields import flat
from jstyle.settings.messages import Where
from jstyle.settings.reader import build
from jstyle.settings.words import parse_words
from tests.settings.samples import Loop


@dataclass(frozen=True)
class Part:
    first_step: int = 0
    last_step: int = 9
    share: float = 0.5
    layers: str = ""

    def __post_init__(self) -> None:
        if self.last_step < self.first_step:
            raise ValueError("first_step and last_step must lie in order within the layers")
        if self.share > 1:
            raise ValueError(f"share must be at most 1, not {self.share}: lower it, or 'first_step', or --last_step")
        if self.layers == "none":
            raise ValueError("there must be layers; give layers with first_step")


@dataclass(frozen=True)
class Holder:
    part: Part = flat(Part)
    within: Part = field(default_factory=Part)
    loop: Loop = field(default_factory=Loop)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--last_step", "-1"], "--first_step and --last_step must lie in order within the layers"),
        (
            ["--within.last_step", "-1"],
            "--within.first_step and --within.last_step must lie in order within the layers",
        ),
        (["--share", "2"], "--share must be at most 1, not 2.0: lower it, or 'first_step', or --last_step"),
        (["--layers", "none"], "there must be layers; give layers with --first_step"),
        (["--within.layers", "none"], "--within: there must be layers; give layers with --within.first_step"),
        (["--loop.steps", "0"], "--loop.steps must be at least 1, not 0"),
        (["--loop", "{steps: 0}"], "--loop.steps must be at least 1, not 0"),
    ],
)
def test_settings_are_named_as_they_are_given(words: list[str], line: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_words((Holder,), words, "command", "a command")
    assert str(caught.value) == line
    values: dict = {}
    *outer, name = words[0][2:].split(".")
    inner = {name: -1 if name == "last_step" else 2 if name == "share" else 0 if name == "steps" else words[1]}
    values = {outer[0]: inner} if outer else inner
    if name != "loop":
        with pytest.raises(InputError) as caught:
            build(Holder, values, "recipe")
        kept = "or --last_step"  # of a message itself
        assert str(caught.value) == f"recipe: {line.replace(kept, '=').replace('--', '').replace('=', kept)}"


def test_a_value_of_a_wrong_type_within_is_named_by_its_option() -> None:
    where = Where("", "loop", "--").within("steps")
    assert str(where.mismatch("a number", "x")) == "--loop.steps must be a number, not 'x'"
    assert str(where.item(1).error("wrong")) == "--loop.steps[1]: wrong"
    assert str(where.missing("x")) == "--loop.steps.x is missing"


def test_what_python_is_told_names_fields() -> None:
    with pytest.raises(ValueError, match="^first_step and last_step must"):
        dataclasses.replace(Part(), last_step=-1)
