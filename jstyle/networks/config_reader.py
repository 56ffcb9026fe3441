"""From the JSON of a model's folder to a configuration: every value of its type, every mistake a line that names it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from jstyle.errors import InputError
from jstyle.settings.fields import require, typed_fields
from jstyle.settings.messages import Where, find_close, show
from jstyle.settings.reader import read_value

Config = TypeVar("Config")

_LARGEST_FILE = 1 << 26  # bytes: vocabularies have one or two million
_LARGEST = 1 << 20  # of a network's sizes: the largest, CLIP's vocabulary, is 49408


class NetworkConfig:
    """A configuration whose values are read by name too, as diffusers' and transformers' are."""

    def __getitem__(self, name: str) -> Any:
        if name not in self.keys():
            raise KeyError(name)
        return getattr(self, name)

    def keys(self) -> list[str]:
        """The names of its values."""
        return [field.name for field in fields(self)]  # type: ignore[arg-type]

    def get(self, name: str, default: Any = None) -> Any:
        """The value of that name, or ``default`` where there is none."""
        return getattr(self, name) if name in self.keys() else default


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises InputError, naming the file, when it is missing or damaged."""
    where = Where(str(path))
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise where.error(f"this is larger than the {_LARGEST_FILE >> 20} MiB that a model's JSON can take")
        value = json.loads(content.decode("utf-8-sig"))
    except FileNotFoundError:
        raise where.error("this is missing; is it a diffusers model folder?") from None
    except InputError:
        raise
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no JSON, no UTF-8, a number of 5000 digits
        raise where.error(f"this cannot be read as JSON ({error}); fetch the model again") from None
    if not isinstance(value, dict):
        raise where.error("this does not hold a JSON object; fetch the model again")
    return value


def to_dict(config: Any, class_name: str) -> dict[str, Any]:
    """The JSON object of a configuration, as diffusers writes it."""
    return {"_class_name": class_name, "_diffusers_version": "0.26.0", **asdict(config)}


def read_diffusers(cls: type[Config], raw: Mapping[str, Any], fixed: Mapping[str, Any], place: str) -> Config:
    """A configuration from JSON that has no other keys than its fields and switches in their ``fixed`` positions.

    Ellipsis is any position. Raises InputError, which begins with ``place``.
    """
    names = {field.name for field, _ in typed_fields(cls)}
    for key, value in raw.items():
        if key in names or key.startswith("_"):
            continue
        allowed = fixed.get(key, value if value in (None, False) else None)
        if allowed is not Ellipsis and value != allowed:
            meant = find_close(key, names, 0.9)  # so near that it is no other switch of diffusers'
            advice = f"did you mean {meant}?" if meant else "only Stable Diffusion 1.x, 2.x and XL load here"
            message = f"{key} = {show(value)} is not supported; {advice}"
            raise Where(place).error(message)
    switches = {
        field.name for field, hint in typed_fields(cls) if hint is bool
    }  # null is diffusers' other way to say no
    return read_fields(cls, {key: raw[key] for key in raw if raw[key] is not None or key not in switches}, place)


def read_fields(cls: type[Config], raw: Mapping[str, Any], place: str) -> Config:
    """A configuration from the keys of ``raw`` that are its fields. Raises InputError that begins with ``place``."""
    where = Where(place)
    values = {
        field.name: read_value(hint, raw[field.name], where.within(field.name), field.default)
        for field, hint in typed_fields(cls)
        if field.name in raw
    }
    try:
        return cls(**values)
    except ValueError as error:
        raise where.error(str(error)) from None


def require_sizes(most: int = _LARGEST, least: int = 1, **values: Any) -> None:
    """Raise ValueError for the first of the named values, or of a list's, that no size of a network can be."""
    for name, value in values.items():
        for size in value if isinstance(value, tuple) else (value,):
            require(least <= size <= most, f"{name} must be from {least} to {most}, not {show(value)}")


def require_small(**values: float) -> None:
    """Raise ValueError for the first of the named values that is not above 0 and at most 1."""
    for name, value in values.items():
        require(0 < value <= 1, f"{name} must be above 0 and at most 1, not {show(value)}")


def require_divides(name: str, parts: int, *sizes: int) -> None:
    """Raise ValueError where a size is not a multiple of so many parts."""
    for size in sizes:
        require(size % parts == 0, f"{name} {parts} does not divide {size} channels")


def require_positive_number(name: str, value: float) -> None:
    """Raise ValueError for a value that is not above 0 and finite."""
    require(0 < value < math.inf, f"{name} must be above 0, not {show(value)}")
