"""The YAML files that come with the project, found by name: `--config styleid_sd21`, `--preset baseline`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Optional

import jstyle
from jstyle.errors import InputError
from jstyle.settings.messages import suggest

_SUFFIXES = (".yaml", ".yml")


def find_config(name: str, prefix: str = "") -> Path:
    """The file that ``name`` is the path of, else the config that comes with the project, its suffix left out or not.

    With a ``prefix`` a name alone is meant: find_config("baseline", "submission_") is configs/submission_baseline.yaml.
    Raises InputError, one line with the names that there are, for anything else.
    """
    if not prefix and (path := _find_file(name)) is not None:
        return path
    suffix = Path(name).suffix
    stem = name[: -len(suffix)] if suffix in _SUFFIXES else name
    names = list_configs(prefix)
    if stem in names:
        return _folder() / f"{prefix}{stem}.yaml"
    what = "preset" if prefix else "config"
    raise InputError(f"there is no {what} {name!r} ({suggest(stem, names)})")


def _find_file(name: str) -> Optional[Path]:
    """The file that ``name`` is the path of, or None where there is none, or can be none."""
    with suppress(RuntimeError, OSError, ValueError):  # no such user's home, too long, no name of a file
        path = Path(name).expanduser()
        return path if path.is_file() else None
    return None


def list_configs(prefix: str = "") -> list[str]:
    """The names of the configs that begin with ``prefix``, without it and without suffix."""
    return sorted(file.stem[len(prefix) :] for file in _folder().glob(f"{prefix}*.yaml"))


def _folder() -> Path:
    """Within an installed package; in a checkout beside it."""
    package = Path(jstyle.__file__).resolve().parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"
