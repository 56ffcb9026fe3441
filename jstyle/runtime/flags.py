"""Jittor's flags, kept from packages that change them when they are imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_CHANGED_BY_JTORCH = ("th_mode", "amp_level", "amp_reg")


@contextmanager
def keep_flags() -> Iterator[None]:
    """Leave the flags that importing JTorch changes as they were: in its mode no new array asks for a gradient."""
    from jstyle.runtime import jt

    flags = jt.flags
    before = {name: getattr(flags, name) for name in _CHANGED_BY_JTORCH}
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(flags, name, value)
