"""What a result depends on has one digest; the first difference between two is named."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest

from jstyle.settings.identity import ABSENT, digest, find_difference, identity
from jstyle.settings.model import ModelSettings
from jstyle.settings.reader import plain
from tests.settings.samples import SAMPLES, Inner, Loop, Training


@dataclasses.dataclass(frozen=True)
class Two:
    """Loops in a list."""

    loops: tuple[Any, ...] = ()
    scale: float = 1.0


def test_free_fields_are_left_out_at_every_depth() -> None:
    assert identity(Training(Path("a"), model=ModelSettings("x", "y", "z"))) == {
        "rank": 4,
        "precision": "fp32",
        "backend": "native",
        "vae_tiling": False,
        "loop": {"steps": 500, "rate": 1e-4, "clip": 1.0},
    }
    assert identity(Two((Loop(1),)))["loops"] == [{"steps": 1, "rate": 1e-3, "clip": 1.0}]
    assert identity({"a": Loop(1)}) == {"a": {"steps": 1, "rate": 1e-3, "clip": 1.0}}


def test_the_digest_is_that_of_canonical_json() -> None:
    text = b'{"loops":[{"clip":null,"rate":0.5,"steps":2}],"scale":3}'
    assert digest(Two((Loop(2, 0.5, None),), 3.0)) == hashlib.sha256(text).hexdigest()


def test_only_what_changes_the_result_changes_the_digest() -> None:
    base = Training()
    same = [Training(Path("x")), Training(model=ModelSettings("x")), Training(loop=Loop(500, 1e-4, 1, 7))]
    same_but_model = [dataclasses.replace(one, model=dataclasses.replace(base.model)) for one in (same[0], same[2])]
    assert {digest(one) for one in same_but_model} == {digest(base)}
    others = [Training(rank=5), Training(loop=Loop()), Training(model=ModelSettings(backend="jdiffusion"))]
    assert len({digest(one) for one in [base, *others]}) == 4
    assert digest(Two(scale=1)) == digest(Two(scale=1.0)) != digest(Two(scale=True))


def test_a_digest_does_not_know_classes() -> None:
    other = dataclasses.make_dataclass("Other", [("scale", float, 1.0), ("loops", tuple, ())])
    assert digest(other()) == digest(Two()) == digest({"scale": 1, "loops": []})


def test_what_is_not_finite_has_no_digest() -> None:
    with pytest.raises(ValueError):
        digest(Two(scale=float("nan")))
    with pytest.raises(TypeError):
        digest({"a": {1}})


@pytest.mark.parametrize("sample", SAMPLES)
def test_settings_do_not_differ_from_themselves(sample: Any) -> None:
    assert find_difference(plain(sample), plain(sample)) is None


@pytest.mark.parametrize(
    ("wanted", "found", "difference"),
    [
        ({"a": 1, "b": {"c": 2}}, {"b": {"c": 3}, "a": 1}, ("b.c", 2, 3)),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 4}]}, ("a[1].b", 2, 4)),
        ({"a": [1]}, {"a": [1, 2]}, ("a", [1], [1, 2])),
        ({"a": None}, {}, ("a", None, ABSENT)),
        ({}, {"a": None}, ("a", ABSENT, None)),
        ({"a": {"b": 1}}, {"a": 1}, ("a", {"b": 1}, 1)),
        ({"a": 1}, {"a": True}, ("a", 1, True)),
        ({"a": 1, "c": (1,)}, {"a": 1.0, "c": [1]}, None),
    ],
)
def test_the_first_difference_is_named(wanted: dict, found: dict, difference: object) -> None:
    assert find_difference(wanted, found) == difference


def test_an_absent_value_reads_as_nothing() -> None:
    assert f"{ABSENT!r}" == "nothing" and identity(Inner()) == {"width": 3}
