"""What tests ask of a run: the events of a kind, its plan, and the files that it left."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jstyle.events import Planned


def only(events: Iterable[Any], kind: type) -> list[Any]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def plan(events: Iterable[Any]) -> Planned:
    """The one plan that a run tells."""
    (planned,) = only(events, Planned)
    return planned


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
