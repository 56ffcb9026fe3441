"""Forms, made from settings: which of them a visitor fills in, how each looks, and what was meant by what came back."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jstyle.errors import InputError
from jstyle.settings.fields import MISSING, join_flat
from jstyle.settings.leaves import LISTS
from jstyle.settings.messages import suggest
from jstyle.settings.options import Option, list_options
from jstyle.settings.paths import Use, find_use
from jstyle.settings.reader import build, merged, plain
from jstyle.web.offers import Offers, choose
from jstyle.web.works import Work

Kind = Literal["pictures", "name", "names", "choice", "choices", "switch", "whole", "number", "text", "texts", "words"]
"""How a field is filled in: with pictures, names of offers, words to choose from, a switch, numbers, a text, a text a
line, or words as on a command line.
"""

_PICTURES = (Use.PICTURES, Use.PICTURE, Use.SOMETHING)
_OURS = ("output", "overwrite", "name", "workers", "backend", "engine", "verify", "zip", "zip_folder", "batch_size")
"""Settings that the page itself decides, or that are about the machine that it runs on."""

_PLAIN: Mapping[Any, Kind] = {bool: "switch", int: "whole", float: "number", str: "text"}

_MODELS_OTHER = ("revision", "variant", "prediction_type")
"""What is said of a model beside its name: whoever offers it names it so that nothing is left to say."""


@dataclass(frozen=True)
class Field:
    """A setting as a visitor sees it."""

    option: Option
    kind: Kind
    is_foremost: bool

    @property
    def name(self) -> str:
        """The setting, dotted where it is within another."""
        return ".".join(self.option.path)

    @property
    def label(self) -> str:
        """The setting in words."""
        return " ".join(self.option.path).replace("_", " ").capitalize()

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.option.default is MISSING

    @property
    def takes_several(self) -> bool:
        """Whether it is a list."""
        return bool(self.option.items)

    @property
    def choices(self) -> tuple[str, ...]:
        """The words to choose from, "" where nothing need be chosen."""
        inner = self.option.items[0] if self.takes_several else self.option.inner
        words = tuple(map(str, typing.get_args(inner)))
        return words if self.takes_several or self.option.inner is self.option.hint else ("", *words)

    @property
    def value(self) -> Any:
        """What the form shows at first."""
        return show_value(self, None if self.is_required else plain(self.option.default))


def list_fields(work: Work) -> list[Field]:
    """The fields of a work's form, the foremost ones first, in the order in which the work names them."""
    fields = [
        Field(option, kind, _is_foremost(option, work, kind))
        for option in list_options(join_flat(work.kinds), {})
        if (kind := _choose_kind(option)) is not None
    ]
    order = {name: place for place, name in enumerate(work.foremost)}
    return sorted(fields, key=lambda field: (not field.is_foremost, order.get(field.name, -1)))


def _is_foremost(option: Option, work: Work, kind: Kind) -> bool:
    named = ".".join(option.path) in work.foremost
    is_input = option.kind is work.kinds[0] and len(option.path) == 1
    is_given = option.default is MISSING or kind == "pictures" or option.path == ("prompt",)
    return named or (is_input and is_given) or option.path == ("model",)


def _choose_kind(option: Option) -> Any:
    """How an option is filled in; None where visitors do not see it."""
    use = find_use(typing.get_type_hints(option.kind, include_extras=True)[option.path[-1]])
    inner, name = option.inner, option.path[-1]
    if name in _OURS or name in _MODELS_OTHER or dataclasses.is_dataclass(inner):
        return None
    if use in _PICTURES:
        return "pictures"
    if name in ("model", "controlnet", "lora", "words", "preset"):
        return "names" if option.items else "name"
    if use is not None or inner is Path:
        return None
    if option.items:
        return _choose_kind_of_list(option.items)
    if typing.get_origin(inner) is Literal:
        return "choice"
    may_be_empty = inner is not option.hint
    kinds: Mapping[Any, Kind] = {bool: "switch", str: "text"} if may_be_empty else _PLAIN
    return kinds.get(inner, "words")


def _choose_kind_of_list(items: Sequence[Any]) -> Kind:
    if typing.get_origin(items[0]) is Literal and items[-1] is Ellipsis:
        return "choices"
    return "texts" if items[0] is str and items[-1] is Ellipsis else "words"


def show_value(field: Field, value: Any) -> Any:
    """A setting's plain value as its field holds it."""
    if field.kind == "pictures":
        return []
    if field.kind in ("names", "choices"):
        return list(value or ())
    if field.kind == "texts":
        return "\n".join(value or ())
    if field.kind == "words":
        return " ".join(map(str, value)) if isinstance(value, LISTS) else "" if value is None else str(value)
    if field.kind in ("text", "choice", "name"):
        return "" if value is None else str(value)
    return value


def read_value(field: Field, given: Any) -> Any:
    """The plain setting that a form's value stands for, MISSING where that says nothing. Raises InputError."""
    may_be_empty = field.kind == "text" and field.option.inner is field.option.hint and not field.is_required
    if isinstance(given, str) and not given.strip() and not may_be_empty:
        return MISSING
    if field.kind == "texts" and isinstance(given, str):
        return [line for line in map(str.strip, given.splitlines()) if line]
    if field.kind == "words" and isinstance(given, str):
        return field.option.value_of(given.split() if field.takes_several else given)
    if field.kind == "choice" and not field.takes_several:
        return field.option.value_of(given) if isinstance(given, str) else given
    if field.kind == "choices" and isinstance(given, list):
        return given or MISSING
    if field.kind == "whole" and isinstance(given, float) and given.is_integer():
        return int(given)  # browsers know no whole numbers
    if given is None and field.is_required:
        return MISSING
    return given


Admit = Callable[[Any], str]
"""What a visitor brought to the path of what was kept of it. Raises InputError for what is no picture."""


def read_form(
    fields: Collection[Field], given: Mapping[str, Any], offers: Offers, admit: Admit, most_pictures: int
) -> dict[str, Any]:
    """A form's values as plain settings, nested, without those that say what is so anyway.

    Raises InputError for a name that is no field, a file that is not offered, and what `admit` refuses.
    """
    known = {field.name: field for field in fields}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise InputError(f"unknown setting {name!r:.80} ({suggest(name[:80], list(known))})")
        field = known[name]
        read = _read_files(field, value, offers, admit, most_pictures)
        default = None if field.is_required else plain(field.option.default)
        if read is MISSING or (not field.is_required and read == default):
            continue
        for part in reversed(field.option.path):
            read = {part: read}
        values = merged(values, read)
    return values


def _read_files(field: Field, value: Any, offers: Offers, admit: Admit, most_pictures: int) -> Any:
    if field.kind == "pictures":
        brought = value if isinstance(value, list) else [] if value is None else [value]
        if len(brought) > most_pictures:
            raise InputError(f"{field.label}: {len(brought)} pictures, and {most_pictures} are taken at once")
        paths = [admit(one) for one in brought]
        if not field.takes_several and len(paths) > 1:
            raise InputError(f"{field.label}: one picture is taken, not {len(paths)}")
        return MISSING if not paths else paths if field.takes_several else paths[0]
    if field.kind in ("name", "names"):
        return _read_names(field, value, offers[field.option.path[-1]])
    return read_value(field, value)


def _read_names(field: Field, value: Any, offered: Mapping[str, str]) -> Any:
    """What is offered under these names."""
    names = value if isinstance(value, list) else [] if value in (None, "") else [value]
    if not all(isinstance(name, str) for name in names) or (len(names) > 1 and not field.takes_several):
        raise InputError(f"{field.label}: choose from what is offered")
    sources = [choose(field.option.path[-1], name, offered) for name in names]
    return MISSING if not sources else sources if field.takes_several else sources[0]


AXES = ("whole", "number", "words", "text", "choice")
"""Kinds of fields that a grid can go through."""


def read_axis(field: Field, text: str) -> list[Any]:
    """The plain values of a field that a grid goes through: words, or what stands between commas.

    Raises InputError for a value of another type, and where there are not several.
    """
    words = [word.strip() for word in text.split(",")] if "," in text else text.split()
    kind = field.option.items[:1] or (field.option.hint,)
    values = [field.option.value_of([word] if field.takes_several else word) for word in words if word]
    if len(values) < 2 or kind == (bool,):
        raise InputError(f"{field.label}: a grid needs several values, such as 1 2 3")
    return values


def build_settings(work: Work, values: Mapping[str, Any], output: Path) -> tuple[Any, ...]:
    """An instance of each of a work's kinds, whose results go to the folder `output`.

    Raises InputError, one line, for values that are wrong or missing.
    """
    joined = build(join_flat(work.kinds), {**values, "output": str(output)})
    return tuple(getattr(joined, f"part{index}") for index in range(len(work.kinds)))
