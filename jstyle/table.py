"""Tables of things that a package each brings: methods, ways to teach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Protocol, TypeVar


class Named(Protocol):
    """What a table holds."""

    @property
    def name(self) -> str:
        """What it is found by."""
        ...


class Described(Named, Protocol):
    """What the docs have a row of."""

    @property
    def title(self) -> str:
        """As people write it."""
        ...

    @property
    def command(self) -> str:
        """The last word of its command."""
        ...

    @property
    def summary(self) -> str:
        """What it does, in one line without a full stop."""
        ...

    @property
    def paper(self) -> str:
        """Where it is described."""
        ...


Entry = TypeVar("Entry", bound=Named)


class Table(Mapping[str, Entry]):
    """What the attribute ``attribute`` of each of ``packages`` is, by its name.

    A package is imported when the table is looked at; packages keep their declarations free of Jittor.
    """

    def __init__(self, attribute: str, packages: list[str]) -> None:
        self.packages = packages
        self._attribute = attribute

    def __getitem__(self, name: str) -> Entry:
        for entry in self._entries():
            if entry.name == name:
                return entry
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (entry.name for entry in self._entries())

    def __len__(self) -> int:
        return len(self.packages)

    def _entries(self) -> Iterator[Entry]:
        return (getattr(import_module(package), self._attribute) for package in self.packages)


def load_attribute(path: str) -> Any:
    """What "module:attribute" names: how a declaration refers to code without importing it."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def write_table(entries: Mapping[str, Described], kind: str, command: str) -> str:
    """Rows of Markdown, for docs/methods.md; ``kind`` heads the first column, ``command`` begins each command."""
    rows = [f"| {kind} | command | what it does | source |", "|---|---|---|---|"]
    for entry in entries.values():
        rows.append(f"| {entry.title} | `{command} {entry.command}` | {entry.summary} | {entry.paper} |")
    return "\n".join(rows)
