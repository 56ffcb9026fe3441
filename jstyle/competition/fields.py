"""Mappings that a user wrote become dataclasses: every key known, every value of its type."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from pathlib import Path
from typing import Any, Mapping, Type, TypeVar, Union

Built = TypeVar("Built")


def build(kind: Type[Built], given: object, place: str) -> Built:
    """An instance of a dataclass from a mapping of its fields; those not given keep their defaults.

    Raises ValueError, one line that starts with ``place``, for an unknown or missing key, a value of another type,
    and whatever the dataclass itself refuses.
    """
    values = checked(kind, given, place)
    lacking = [field.name for field in _fields(kind) if field.name not in values and _is_required(field)]
    if lacking:
        raise ValueError(f"{place}: {lacking[0]} is missing")
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def checked(kind: type, given: object, place: str) -> typing.Dict[str, Any]:
    """The given values, converted to the types of the dataclass's fields. Raises ValueError as `build` does."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ValueError(f"{place}: settings (name: value) are needed, not {_shown(given)}")
    hints = typing.get_type_hints(kind)
    names = [field.name for field in _fields(kind)]
    for key in given:
        if key not in names:
            close = difflib.get_close_matches(str(key), names, 1)
            meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
            raise ValueError(f"{place}: unknown setting {key!r} ({meant})")
    return {key: _converted(hints[key], value, f"{place}: {key}") for key, value in given.items()}


def _converted(hint: Any, value: Any, place: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin is Union:
        return _of_union(hint, value, place)
    if origin is typing.Literal:
        if value not in arguments or isinstance(value, bool):
            raise ValueError(f"{place} must be one of {', '.join(map(str, arguments))}, not {_shown(value)}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{place} must be a list, not {_shown(value)}")
        return tuple(_converted(arguments[0], one, f"{place}[{index}]") for index, one in enumerate(value))
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, place)
    if hint is Path and isinstance(value, (str, Path)):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if (
        isinstance(origin or hint, type)
        and isinstance(value, origin or hint)
        and (isinstance(value, bool) == (hint is bool))
    ):
        return value
    raise ValueError(f"{place} must be {_NAMES.get(origin or hint, str(hint))}, not {_shown(value)}")


def _of_union(hint: Any, value: Any, place: str) -> Any:
    arguments = typing.get_args(hint)
    if value is None and type(None) in arguments:
        return None
    wrong = None
    for one in arguments:
        if one is not type(None):
            try:
                return _converted(one, value, place)
            except ValueError as error:
                wrong = wrong or error
    assert wrong is not None
    raise wrong


_NAMES: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    dict: "settings (name: value)",
}


def _fields(kind: type) -> typing.List[dataclasses.Field]:
    return list(dataclasses.fields(typing.cast(Any, kind)))


def _is_required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
