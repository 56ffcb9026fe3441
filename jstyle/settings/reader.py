"""The one reader of settings: plain mappings, as YAML, JSON, words and forms give them, become dataclasses and back."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, Union

from jstyle.settings.fields import (
    MISSING,
    default_of,
    is_flat,
    level_fields,
    list_names,
    start_of_flat,
    typed_fields,
    values_by_name,
)
from jstyle.settings.leaves import LISTS, MAPPINGS, describe, read_leaf, unwrap_numpy
from jstyle.settings.messages import Where, show, suggest
from jstyle.settings.other_names import guess_setting

T = TypeVar("T")
_DEEPEST = 100


def build(kind: type[T], values: object, place: str = "", dashes: str = "") -> T:
    """A settings dataclass from a mapping of its fields; null stands for no settings, and what is left out keeps its
    default. A nested dataclass that is given in part starts from the default of the field that holds it.

        build(LoraSettings, {"data": ["pictures"], "output": "out", "loop": {"steps": 5}}, "recipe")

    Raises InputError, one line that starts with `place`, for a name that is unknown or missing, a value of another
    type, and whatever the dataclass itself refuses by a ValueError. Names in it begin with `dashes`.
    """
    where = Where(place, dashes=dashes)
    return _assemble(kind, _known(kind, {} if values is None else values, where), where, {})


def check(kind: type, values: object, place: str = "") -> None:
    """Raise InputError unless all `values` are settings of `kind` and of their types; they need not be complete.

    No dataclass is built: what a section says may make sense only together with what stands elsewhere.
    """
    _check(kind, {} if values is None else values, Where(place))


def read_value(hint: Any, value: Any, where: Where, default: Any = MISSING, *, whole: bool = True) -> Any:
    """The value as the type `hint` has it; a nested dataclass starts from `default`.

    With `whole` false values are checked as `check` does, and dataclasses stay mappings. Raises InputError.
    """
    value = unwrap_numpy(value)
    origin = typing.get_origin(hint) or hint
    if hint is Any:
        return _read_any(value, where)
    if value is None:
        if type(None) in typing.get_args(hint):
            return None
        raise where.mismatch(describe(hint), value, "" if default is MISSING else "leave the line out for the default")
    if origin is Union:
        return _read_union(hint, value, where, default, whole)
    if dataclasses.is_dataclass(hint):
        return _read_nested(typing.cast(type, hint), value, where, default, whole)
    if origin in LISTS:
        return _read_list(hint, value, where, whole)
    if origin in MAPPINGS:
        return _read_mapping(hint, value, where, whole)
    return read_leaf(hint, value, where)


def plain(value: Any, *, without: Callable[[dataclasses.Field, Any], bool] = lambda field, value: False) -> Any:
    """Settings as JSON holds them: `build(kind, plain(settings)) == settings`. Flat fields stand at one level.

    Args:
        value: a dataclass, or what a field of one holds.
        without: which fields to leave out, by what they hold, at every level.

    Raises TypeError for a value that JSON has no form for.
    """
    value = unwrap_numpy(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        content: dict[str, Any] = {}
        for field, _ in typed_fields(type(value)):
            held = getattr(value, field.name)
            if not without(field, held):
                inner = plain(held, without=without)
                content.update(inner if is_flat(field) else {field.name: inner})
        return content
    if isinstance(value, Mapping):
        return {str(key): plain(inner, without=without) for key, inner in value.items()}
    if isinstance(value, LISTS):
        return [plain(inner, without=without) for inner in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"settings hold no {type(value).__name__}")


def merged(wide: Mapping[str, Any], narrow: Mapping[str, Any]) -> dict[str, Any]:
    """`narrow` over `wide`: mappings within mappings are laid over each other, all else is replaced."""
    both = dict(wide)
    for key, value in narrow.items():
        below = both.get(key)
        both[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return both


def _known(kind: type, values: object, where: Where) -> Mapping[str, Any]:
    """`values`, all of them names at the level of `kind`."""
    if not isinstance(values, Mapping):
        if where.path:
            raise where.mismatch(describe(kind), values)
        raise where.error(f"{describe(kind)} are needed, not {show(values)}")
    names = level_fields(kind)
    for key in values:
        if key not in names:
            meant = guess_setting(str(key), list_names(kind)).replace(" ", ": ")
            advice = f"did you mean {meant}?" if meant else suggest(key, names)
            raise where.error(f"unknown setting {show(key)} ({advice})")
    return values


def _assemble(kind: type[T], values: Mapping[str, Any], where: Where, start: Mapping[str, Any]) -> T:
    """An instance of `kind`; values that are of no field of it are those of its holder."""
    arguments = {}
    for field, hint in typed_fields(kind):
        default = default_of(field, start)
        if is_flat(field):
            arguments[field.name] = _assemble(hint, values, where, start_of_flat(field, default))
        elif field.name in values:
            arguments[field.name] = read_value(hint, values[field.name], where.within(field.name), default)
        elif default is MISSING:
            raise where.missing(field.name)
        else:
            arguments[field.name] = default
    try:
        return kind(**arguments)
    except ValueError as error:
        raise where.refusal(str(error), level_fields(kind)) from error


def _check(kind: type, values: object, where: Where) -> None:
    for name, value in _known(kind, values, where).items():
        field, hint = level_fields(kind)[name]
        read_value(hint, value, where.within(name), default_of(field, {}), whole=False)


def _read_nested(kind: type, value: Any, where: Where, default: Any, whole: bool) -> Any:
    if isinstance(value, kind):
        return value
    if whole:
        return _assemble(kind, _known(kind, value, where), where, values_by_name(default))
    _check(kind, value, where)
    return value


def _read_union(hint: Any, value: Any, where: Where, default: Any, whole: bool) -> Any:
    alternatives = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    shape = _shape_of(value)
    fitting = [kind for kind in alternatives if _shape(kind) is shape]
    if len(alternatives) == 1 or (len(fitting) == 1 and shape is not object):
        return read_value((fitting or alternatives)[0], value, where, default, whole=whole)
    for kind in fitting:
        try:
            return read_value(kind, value, where, default, whole=whole)
        except ValueError:
            continue
    raise where.mismatch(describe(hint), value)


def _shape(hint: Any) -> type:
    origin = typing.get_origin(hint) or hint
    return dict if dataclasses.is_dataclass(hint) or origin in MAPPINGS else list if origin in LISTS else object


def _shape_of(value: Any) -> type:
    return dict if isinstance(value, Mapping) else list if isinstance(value, LISTS) else object


def _read_list(hint: Any, value: Any, where: Where, whole: bool) -> Any:
    if not isinstance(value, LISTS):
        raise where.mismatch(describe(hint), value)
    kinds = typing.get_args(hint) or (Any, ...)
    if typing.get_origin(hint) is list or kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    elif len(kinds) != len(value):
        raise where.mismatch(f"a list of {len(kinds)} values", value)
    items = [read_value(kind, item, where.item(i), whole=whole) for i, (kind, item) in enumerate(zip(kinds, value))]
    return items if (typing.get_origin(hint) or hint) is list else tuple(items)


def _read_mapping(hint: Any, value: Any, where: Where, whole: bool) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise where.mismatch(describe(hint), value)
    kind = typing.get_args(hint)[1] if typing.get_args(hint) else Any
    return {key: read_value(kind, item, where.within(key), whole=whole) for key, item in _named(value, where)}


def _read_any(value: Any, where: Where, depth: int = 0) -> Any:
    """What JSON can hold, as JSON holds it."""
    value = unwrap_numpy(value)
    if depth > _DEEPEST:
        raise where.error("this nests too deeply")
    if isinstance(value, Mapping):
        return {key: _read_any(item, where.within(key), depth + 1) for key, item in _named(value, where)}
    if isinstance(value, LISTS):
        return [_read_any(item, where.item(i), depth + 1) for i, item in enumerate(value)]
    if value is None or isinstance(value, bool):
        return value
    kind = next((kind for kind in (int, float) if isinstance(value, kind)), str)
    return read_leaf(kind, str(value) if isinstance(value, Path) else value, where)


def _named(value: Mapping[Any, Any], where: Where) -> list[tuple[str, Any]]:
    for key in value:
        if not isinstance(key, str):
            raise where.error(f"the name {show(key)} must be a text: write it in quotes")
    return list(value.items())
