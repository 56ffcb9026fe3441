"""What a field of a settings dataclass says of itself: its help, whether it changes the result, where it stands."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import textwrap
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union

MISSING: Any = dataclasses.MISSING
_FREE = "changes no result because"
_LATER = "is no part of the identity at this value"
_FLAT = "stands at its holder's level, with these changes"
_SPELT = "is also the option of this name"


def free(default: Any = MISSING, *, default_factory: Any = MISSING, because: str, compare: bool = True) -> Any:
    """A dataclass field that does not change the result; `because` says why in a few words.

        output: Path = free(because="where a result lies is not what it is")

    `jstyle.settings.identity` leaves such fields out.
    """
    return dataclasses.field(
        default=default, default_factory=default_factory, compare=compare, metadata={_FREE: because}
    )


def later(default: Any) -> Any:
    """A field that is no part of the identity while it has its default, so what was made before it came stays known."""
    return dataclasses.field(default=default, metadata={_LATER: default})


def spelt(name: str) -> Any:
    """A field without a default whose option people also know by another name, which YAML and JSON do not take."""
    return dataclasses.field(metadata={_SPELT: name})


def flat(kind: type, **changes: Any) -> Any:
    """A nested settings dataclass whose fields stand at its holder's level, in words, YAML and JSON.

        model: ModelSettings = flat(ModelSettings)      # --model X --precision bf16; {model: X, precision: bf16}

    `changes` replace defaults of `kind`. Where a field of it still has no value, the holder's field has no default.
    """
    metadata = {_FLAT: changes}
    if any(is_required(field) and field.name not in changes for field, _ in typed_fields(kind)):
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default_factory=lambda: kind(**changes), metadata=metadata)


def join_flat(kinds: Sequence[type]) -> type:
    """A dataclass that holds all of `kinds` flat, as its fields "part0", "part1", ..."""
    parts = [(f"part{i}", kind, dataclasses.field(metadata={_FLAT: {}})) for i, kind in enumerate(kinds)]
    return dataclasses.make_dataclass("Joined", parts, frozen=True)


def is_free(field: dataclasses.Field) -> bool:
    """Whether the field says that it does not change the result."""
    return _FREE in field.metadata


def is_later_default(field: dataclasses.Field, value: Any) -> bool:
    """Whether the field came later, and has the value that stands for how it was before."""
    return _LATER in field.metadata and field.metadata[_LATER] == value


def other_spelling(field: dataclasses.Field) -> str:
    """The other name of the field's option; "" for none."""
    return field.metadata.get(_SPELT, "")


def is_flat(field: dataclasses.Field) -> bool:
    """Whether the fields of the field's dataclass stand at the level of its holder."""
    return _FLAT in field.metadata


def is_required(field: dataclasses.Field) -> bool:
    """Whether the field has no default."""
    return field.default is MISSING and field.default_factory is MISSING


def default_of(field: dataclasses.Field, start: Mapping[str, Any]) -> Any:
    """The value that a field has where none is given: `start`'s, else its default, else MISSING."""
    if field.name in start:
        return start[field.name]
    make: Any = field.default_factory
    return field.default if make is MISSING else make()


def values_by_name(settings: Any) -> Mapping[str, Any]:
    """The values of a settings dataclass's fields; of anything else none."""
    if not dataclasses.is_dataclass(settings):
        return {}
    return {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings) if field.init}


def start_of_flat(field: dataclasses.Field, default: Any) -> Mapping[str, Any]:
    """The values that the dataclass of a flat field starts from; `default` is the field's, or MISSING."""
    return field.metadata[_FLAT] if default is MISSING else values_by_name(default)


@functools.lru_cache(maxsize=None)
def typed_fields(kind: type) -> tuple[tuple[dataclasses.Field, Any], ...]:
    """The fields that a settings dataclass is built from, each with its type."""
    hints = typing.get_type_hints(kind)
    return tuple((field, hints[field.name]) for field in dataclasses.fields(typing.cast(Any, kind)) if field.init)


@functools.lru_cache(maxsize=None)
def level_fields(kind: type) -> Mapping[str, tuple[dataclasses.Field, Any]]:
    """Field and type of every name at the level of `kind`: its own, and those of the flat dataclasses within.

    Raises TypeError where two have one name.
    """
    level: dict[str, tuple[dataclasses.Field, Any]] = {}
    for field, hint in typed_fields(kind):
        entries = level_fields(hint) if is_flat(field) else {field.name: (field, hint)}
        twice = sorted(set(entries) & set(level))
        if twice:
            raise TypeError(f"{kind.__name__} has two settings of the name {twice[0]}")
        level.update(entries)
    return level


def list_names(kind: type) -> Iterator[str]:
    """The names at the level of `kind`, and those within them, dotted: "loop", "loop.steps"."""
    for name, (_, hint) in level_fields(kind).items():
        yield name
        inner = without_null(hint)
        if dataclasses.is_dataclass(inner):
            yield from (f"{name}.{within}" for within in list_names(typing.cast(type, inner)))


def without_null(hint: Any) -> Any:
    """The type that `hint` is where it is not null."""
    if typing.get_origin(hint) is not Union:
        return hint
    return Union[tuple(kind for kind in typing.get_args(hint) if kind is not type(None))]


@functools.lru_cache(maxsize=None)
def field_docs(kind: type) -> Mapping[str, str]:
    """The string literal below each field, of bases too; it stands in the source alone. Empty without a source."""
    docs: dict[str, str] = {}
    for base in reversed([base for base in kind.__mro__ if dataclasses.is_dataclass(base)]):
        statements = _body(base)
        for field, below in zip(statements, statements[1:]):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                docs[field.target.id] = " ".join(str(below.value.value).split())
    return docs


def _body(kind: type) -> list[ast.stmt]:
    try:
        definition = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    except (OSError, TypeError, SyntaxError):
        return []
    return definition.body if isinstance(definition, ast.ClassDef) else []


def require(condition: bool, message: str) -> None:
    """Raise ValueError with the message unless the condition holds; the reader puts the setting's place before it."""
    if not condition:
        raise ValueError(message)
