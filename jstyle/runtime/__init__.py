"""Brings Jittor up on this machine: the one place that imports it.

``from jstyle.runtime import jt`` looks at the machine, sets Jittor's environment and imports Jittor;
``jstyle.runtime`` itself can be imported, and the machine looked at, where Jittor cannot start.
Raises `StartError`, whose message is one line, when something essential is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jstyle.runtime.start_error import StartError

if TYPE_CHECKING:
    import jittor as jt

__all__ = ["StartError", "jt"]


def __getattr__(name: str) -> Any:
    if name != "jt":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from jstyle.runtime.start import start

    globals()["jt"] = jittor = start()
    return jittor
