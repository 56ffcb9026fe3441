"""The first computation of a kind on a machine runs alone, because two processes that compile one kernel collide."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import jstyle
from jstyle.files import locked
from jstyle.runtime import own_jittor, toolchain
from jstyle.runtime.cache import jittor_folder


@contextmanager
def compiled_once(kind: str) -> Iterator[bool]:
    """Hold the machine's lock while inside, unless a computation of this kind has ended well here before.

    Gives whether this one is the first. The mark that one has ended lies beside what Jittor compiled, in a folder that
    is named by the same key: it goes when that goes, and another compiler's is another.
    """
    folder = _find_marks(jittor_folder(), toolchain.find_compiler(os.environ))
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


@lru_cache(maxsize=None)
def _find_marks(folder: Path, compiler: str) -> Path:
    """The marks of what this compiler has made below Jittor's part of the cache folder."""
    packages = own_jittor.digest_of_files(own_jittor.find_packages())
    return folder / "compiled_once" / own_jittor.name_compiled(folder, compiler, packages)


def _digest(kind: str) -> str:
    """Of what may change, beside the compiled Jittor, which kernels there are; machines may share a home."""
    place = [platform.node(), jstyle.__version__]
    place += [os.environ.get("CUDA_VISIBLE_DEVICES", ""), os.environ.get("JSTYLE_OPS", ""), kind]
    return hashlib.sha256("\0".join(place).encode()).hexdigest()[:32]
