"""The first computation of a kind on a machine runs alone, because two processes that compile one kernel collide."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import jstyle
from jstyle.files import locked
from jstyle.runtime.cache import cache_folder


@contextmanager
def compiled_once(kind: str) -> Iterator[bool]:
    """Hold the machine's lock while inside, unless a computation of this kind has ended well here before.

    Gives whether this one is the first. The mark that one has ended lies beside what Jittor compiled, so it goes when
    that goes.
    """
    folder = cache_folder() / "jittor" / "compiled_once"
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / _digest(kind)
    if mark.exists():
        yield False
        return
    with locked(folder / "lock"):
        if not mark.exists():  # another process may have compiled meanwhile
            yield True
            mark.touch()
            return
    yield False


def _digest(kind: str) -> str:
    """Of everything that may change which kernels there are; homes may be shared between machines."""
    place = [platform.node(), platform.python_version(), version("jittor"), jstyle.__version__]
    place += [os.environ.get("CUDA_VISIBLE_DEVICES", ""), os.environ.get("JSTYLE_OPS", ""), kind]
    return hashlib.sha256("\0".join(place).encode()).hexdigest()[:32]
