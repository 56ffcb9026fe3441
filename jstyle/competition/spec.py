"""What a picture of a recipe is: a frozen, typed value that travels as JSON and names files by their content.

So a picture belongs to its settings wherever folders are moved, and a changed reference makes another picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Optional

from jstyle.methods.table import METHODS
from jstyle.pictures.spec import PromptedPicture
from jstyle.settings.fields import later
from jstyle.settings.reader import build


@dataclass(frozen=True)
class StartSpec:
    """Image-to-image."""

    strength: float
    """The share of the steps that change what the picture starts from."""

    mean_of: tuple[str, ...]
    """The hashes of the files whose mean that is."""


@dataclass(frozen=True)
class SetSpec:
    """The set that a picture belongs to: a method, and a reference that is generated or a file."""

    method: str
    """One of the table's that makes sets."""

    settings: Any
    """The method's dataclass, every choice made."""

    prompt: str
    """What the reference shows."""

    seed: Optional[int] = None
    """Of a reference that is generated."""

    picture: Optional[str] = None
    """The hash of a reference that is a file."""

    is_reference: bool = False
    """Whether the picture is the reference itself."""


@dataclass(frozen=True)
class FinishSpec:
    """The method that turns the finished picture into another, in the style of a reference."""

    method: str
    """One of the table's that put contents into styles."""

    settings: Any
    """The method's dataclass."""

    reference: str
    """By which rule the reference is chosen (`jstyle.competition.references.RULES`)."""

    references: tuple[str, ...]
    """The hashes of the files from which it is chosen."""

    nets: tuple[str, ...] = later(())
    """The digests of the ControlNets that its settings name."""


@dataclass(frozen=True)
class SubmissionPicture(PromptedPicture):
    """One picture, whole: the same spec on the same machine gives the same pixels."""

    start: Optional[StartSpec] = None
    set: Optional[SetSpec] = None
    finish: Optional[FinishSpec] = None


def read_spec(values: Mapping[str, Any]) -> SubmissionPicture:
    """The spec of which ``jstyle.settings.reader.plain`` made these values."""
    spec = build(SubmissionPicture, values, "picture")
    if spec.set is not None:
        settings = build(METHODS[spec.set.method].settings, spec.set.settings, "picture: set")
        spec = replace(spec, set=replace(spec.set, settings=settings))
    if spec.finish is not None:
        settings = build(METHODS[spec.finish.method].settings, spec.finish.settings, "picture: finish")
        spec = replace(spec, finish=replace(spec.finish, settings=settings))
    return spec
