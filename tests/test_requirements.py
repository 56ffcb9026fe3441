"""The pins of requirements*.txt and the ranges of pyproject.toml are one list."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Optional

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.9", "3.10", "3.11", "3.12")
EXTRAS = {
    "requirements.txt": None,
    "requirements-ray.txt": "ray",
    "requirements-pictures.txt": "pictures",
    "requirements-control.txt": "control",
    "requirements-web.txt": "web",
    "requirements-score.txt": "score",
    "requirements-dev.txt": "dev",
}


def read_ranges(extra: Optional[str], python: str = PYTHONS[-1]) -> dict[str, Requirement]:
    """The project's dependencies, or an extra's, that are for this Python, by name."""
    if sys.version_info < (3, 11):
        pytest.skip("tomllib came with Python 3.11")
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] if extra is None else project["optional-dependencies"][extra]
    return {range_.name: range_ for range_ in map(Requirement, lines) if is_for(range_, python)}


def is_for(requirement: Requirement, python: str) -> bool:
    """Whether it is for this Python on Linux."""
    machine = {"python_version": python, "platform_system": "Linux", "platform_machine": "x86_64"}
    return requirement.marker is None or requirement.marker.evaluate(machine)


def read_pins(name: str, python: str) -> dict[str, Requirement]:
    """The file's own lines that are for this Python on Linux, by name."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    pins = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {pin.name: pin for pin in pins if is_for(pin, python)}


def pinned_version(pin: Requirement) -> str:
    (specifier,) = pin.specifier
    assert specifier.operator == "==" and "*" not in specifier.version, pin
    return specifier.version


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", list(EXTRAS))
def test_every_dependency_is_pinned_within_its_range_and_nothing_else_is(name: str, python: str) -> None:
    ranges, pins = read_ranges(EXTRAS[name], python), read_pins(name, python)
    assert sorted(pins) == sorted(ranges)
    outside = [str(pin) for pin in pins.values() if not ranges[pin.name].specifier.contains(pinned_version(pin))]
    assert outside == []


@pytest.mark.parametrize("python", PYTHONS[:3])
def test_what_jdiffusion_stands_on_lies_within_the_ranges(python: str) -> None:
    ranges, pins = read_ranges(None), read_pins("requirements-jdiffusion.txt", python)
    assert sorted(set(ranges) - set(pins)) == []
    outside = [
        str(pin)
        for pin in pins.values()
        if pin.name in ranges and pin.url is None and not ranges[pin.name].specifier.contains(pinned_version(pin))
    ]
    assert outside == []


def test_ranges_leave_room_but_where_they_say_why() -> None:
    """An upper bound without need makes a project that cannot be installed beside others."""
    bounded = [name for name, wanted in read_ranges(None).items() if has_upper_bound(wanted.specifier)]
    assert bounded == ["jittor", "numpy", "onednn-cpu-gomp", "onednn-devel-cpu-gomp"]


def has_upper_bound(specifiers: SpecifierSet) -> bool:
    return any(specifier.operator in ("<", "<=", "==", "~=") for specifier in specifiers)
