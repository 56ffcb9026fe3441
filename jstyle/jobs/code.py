"""Which code made a picture."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Sequence

import jstyle

_SOURCES = (".py", ".cpp", ".h", ".cc")


def code_version(packages: Sequence[str]) -> str:
    """The project's version and a digest of the sources of these packages, such as "0.1.0+1f2e3d4c5b6a"."""
    digest = hashlib.sha256()
    for package in packages:
        spec = find_spec(package)
        assert spec is not None and spec.submodule_search_locations is not None, f"{package} is no package"
        root = Path(spec.submodule_search_locations[0])
        for file in sorted(path for path in root.rglob("*") if path.suffix in _SOURCES):
            digest.update(f"{package}/{file.relative_to(root).as_posix()}\0".encode())
            digest.update(file.read_bytes())
    return f"{jstyle.__version__}+{digest.hexdigest()[:12]}"
