"""Values that hold no others: numbers, texts, paths, words of a list. Pydantic checks their types, strictly."""

from __future__ import annotations

import dataclasses
import functools
import sys
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from jstyle.settings.messages import Where
from jstyle.settings.other_names import guess_value
from jstyle.settings.paths import read_path

MAPPINGS = (dict, Mapping)
LISTS = (tuple, list)
_SETTINGS = "settings (name: value)"
_NAMES: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    Path: "a path",
    Any: "a value",
    **dict.fromkeys(MAPPINGS, _SETTINGS),
    **dict.fromkeys(LISTS, "a list"),
}
# what pydantic's errors say that a type's name does not
_DEMANDS = {
    "finite_number": "a finite number",
    "less_than": "a whole number of 64 bits",
    "greater_than_equal": "a whole number of 64 bits",
}


def describe(hint: Any) -> str:
    """What a value of this type is, in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin is Union:
        return " or ".join(describe(alternative) for alternative in arguments if alternative is not type(None))
    if dataclasses.is_dataclass(hint):
        return _SETTINGS
    return _NAMES.get(origin or hint, str(hint))


def read_leaf(hint: Any, value: Any, where: Where) -> Any:
    """The value, converted where nothing is lost (a whole number for a float, a text for a path).

    Raises InputError for a value of another type, and for numbers that are not finite or need more than 64 bits.
    """
    from pydantic import ValidationError

    if isinstance(value, str):
        _refuse_odd_text(hint, value, where)
        try:
            value = read_path(value) if hint is Path else value
        except ValueError as error:
            raise where.error(str(error)) from None
    if typing.get_origin(hint) is Literal:  # for pydantic, True and 1.0 are a 1
        if not any(type(value) is type(choice) and value == choice for choice in typing.get_args(hint)):
            raise where.mismatch(describe(hint), value, guess_value(value, map(str, typing.get_args(hint))))
        return value
    try:
        return _adapter(hint).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise where.mismatch(_DEMANDS.get(first["type"], describe(hint)), value) from None


def _refuse_odd_text(hint: Any, text: str, where: Where) -> None:
    """Raise InputError for a path that names nothing, and for texts that no file and no tokenizer can take."""
    if hint is Path and not text:
        raise where.mismatch("a path", text, "write . for the current folder")
    if "\0" in text and hint in (Path, str):
        raise where.mismatch(f"{describe(hint)} without zero bytes", text)
    if hint is str:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:  # bytes of a command line that are no UTF-8, or half of a pair of surrogates
            raise where.mismatch("a text in UTF-8", text) from None


def unwrap_numpy(value: Any) -> Any:
    """The Python number within one of NumPy's; anything else as it is."""
    numpy = sys.modules.get("numpy")
    return value.item() if numpy is not None and isinstance(value, numpy.generic) else value


@functools.lru_cache(maxsize=None)
def _adapter(hint: Any) -> Any:
    from pydantic import ConfigDict, Field, TypeAdapter

    checked: Any = Annotated[int, Field(ge=-(2**63), lt=2**64)] if hint is int else hint
    return TypeAdapter(checked, config=ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True))
