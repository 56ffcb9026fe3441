"""What a run of a method tells, in the order in which it happens.

A run is a generator of these. Whoever iterates it (a command, the page, a worker) shows them; closing it stops it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, Union

T = TypeVar("T")


@dataclass(frozen=True)
class Planned:
    """Before any work: how many pictures the run is about, how many of them are there, and what is ahead.

    ``evaluations`` are latents that will go through the UNet, each half of a guided call counted.
    """

    pictures: int
    finished: int
    evaluations: int


@dataclass(frozen=True)
class Evaluated:
    """A step is done: ``count`` latents have gone through the UNet in this stage of the run."""

    stage: str
    count: int


@dataclass(frozen=True)
class PictureWritten:
    """A picture stands under its name, whole."""

    path: Path


@dataclass(frozen=True)
class StyleTaught:
    """A style is learnt: its name, and the file that holds it, whole."""

    name: str
    path: Path


@dataclass(frozen=True)
class Failure:
    """One picture of several could not be made or read; the run goes on."""

    subject: str
    reason: str


@dataclass(frozen=True)
class Remark:
    """Something a person should know, in one line."""

    text: str


Event = Union[Planned, Evaluated, PictureWritten, StyleTaught, Failure, Remark]


def exhaust(run: Generator[Any, None, T]) -> T:
    """What a run returns, where nobody wants its events."""
    while True:
        try:
            next(run)
        except StopIteration as end:
            return end.value
