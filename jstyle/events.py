"""What a run tells, of a method or of a training, in the order in which it happens.

A run is a generator of these. Whoever iterates it (a command, the page, a worker) shows them; closing it stops it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, TypeVar, Union

from jstyle.errors import InputWarning

T = TypeVar("T")


@dataclass(frozen=True)
class Planned:
    """Before a piece of work: how many pictures it is about, how many of them are there, and what is ahead.

    ``evaluations`` are latents that will go through the UNet, each half of a guided call counted; ``updates`` those
    that a training has still to make, beside the evaluations of the pictures that it draws. Where neither is said, what
    is ahead is the pictures that are not there.
    """

    pictures: int = 0
    finished: int = 0
    evaluations: int = 0
    updates: int = 0


@dataclass(frozen=True)
class Evaluated:
    """A step is done: ``count`` latents have gone through the UNet in this stage of the run."""

    stage: str
    count: int


@dataclass(frozen=True)
class Updated:
    """``count`` updates of a training are done in this stage of the run; ``loss`` is the last one's, where known."""

    stage: str
    count: int
    loss: Optional[float] = None


@dataclass(frozen=True)
class PictureFound:
    """A picture of the run stands there, finished before: told ahead of the plan."""

    path: Path


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


Event = Union[Planned, Evaluated, Updated, PictureFound, PictureWritten, StyleTaught, Failure, Remark]


def tell_warnings(run: Iterable[T]) -> Iterator[Union[T, Remark]]:
    """A run in which every `InputWarning` is a `Remark`, once, before the event that it came with."""
    shown: set[str] = set()
    with closing(run) as events:
        iterator = iter(events)
        while True:
            given: list[str] = []
            with _warnings_kept(given):
                event = next(iterator, None)
            yield from (Remark(text) for text in dict.fromkeys(given) if text not in shown)
            shown.update(given)
            if event is None:
                return
            yield event


@contextmanager
def _warnings_kept(given: list[str]) -> Iterator[None]:
    """Inside, the texts of `InputWarning`s go into ``given``; other warnings are shown as ever."""
    show = warnings.showwarning

    def keep(message: Any, category: Any, *place: Any) -> None:
        if issubclass(category, InputWarning):
            given.append(str(message))
        else:
            show(message, category, *place)

    warnings.showwarning = keep
    try:
        yield
    finally:
        warnings.showwarning = show


@contextmanager
def closing(run: Iterable[T]) -> Iterator[Iterable[T]]:
    """Iterate a run inside: whatever ends the `with`, the run is closed. What cannot be closed, such as a list, is not.

    It is `contextlib.closing` for runs that are typed as iterators.
    """
    try:
        yield run
    finally:
        close = getattr(run, "close", None)
        if close is not None:
            close()


def exhaust(run: Generator[Any, None, T], show: Optional[Callable[[Any], object]] = None) -> T:
    """What a run returns; ``show`` is called with each event."""
    while True:
        try:
            event = next(run)
        except StopIteration as end:
            return end.value
        if show is not None:
            show(event)
