"""Which code made a result."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import jstyle

PACKAGES = ("jstyle", "styleid", "style_align")
"""Whose sources decide what a result is."""

_SOURCES = (".py", ".cpp", ".h", ".cc")


@lru_cache(maxsize=None)
def read_code_version() -> str:
    """The project's version and a digest of its sources, such as "0.1.0+1f2e3d4c5b6a"."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        spec = find_spec(package)
        assert spec is not None and spec.submodule_search_locations is not None, f"{package} is no package"
        root = Path(spec.submodule_search_locations[0])
        for file in sorted(path for path in root.rglob("*") if path.suffix in _SOURCES):
            digest.update(f"{package}/{file.relative_to(root).as_posix()}\0".encode())
            digest.update(file.read_bytes())
    return f"{jstyle.__version__}+{digest.hexdigest()[:12]}"
