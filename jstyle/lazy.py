"""A package whose names are imported when they are asked for, so that importing the package starts nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def imported_on_demand(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of ``package`` (PEP 562): ``homes`` says which module each public name lives in.

    A name that is itself the last part of its module's path is the module. Any other name raises AttributeError.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = import_module(homes[name])
        return home if homes[name].endswith(f".{name}") else getattr(home, name)

    return find
