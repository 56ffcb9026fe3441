"""Where a run is heading: the clean latents at which its last step aimed, for who shows previews."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Optional

from jstyle.runtime import jt


@dataclass
class Aim:
    """The latents (batch, channels, height, width) of the last prediction, None before the first."""

    latents: Optional[jt.Var] = None


@contextmanager
def watched_aim() -> Iterator[Aim]:
    """Inside, every guided prediction leaves its clean latents in the value that this gives."""
    aim = Aim()
    token = _watched.set(aim)
    try:
        yield aim
    finally:
        _watched.reset(token)


def note_aim(latents: jt.Var) -> None:
    """Say at which clean latents a prediction aims; who does not watch pays nothing."""
    aim = _watched.get()
    if aim is not None:
        aim.latents = latents


_watched: ContextVar[Optional[Aim]] = ContextVar("_watched", default=None)
