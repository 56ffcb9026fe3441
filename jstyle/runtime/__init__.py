"""Brings Jittor up on this machine: the one place that imports it.

``from jstyle.runtime import jt`` looks at the machine, sets Jittor's environment and imports Jittor;
``jstyle.runtime`` itself can be imported, and the machine looked at, where Jittor cannot start.
Raises `StartError`, whose message is one line, when something essential is missing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jstyle.runtime.start_error import StartError

if TYPE_CHECKING:
    import jittor as jt

__all__ = ["StartError", "jt"]


def __getattr__(name: str) -> Any:
    if name != "jt":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # named rather than imported: who only asks where things lie need not know how Jittor is started
    globals()["jt"] = jittor = import_module("jstyle.runtime.start").start()
    return jittor
