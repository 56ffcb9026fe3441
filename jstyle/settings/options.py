"""The options of settings dataclasses: one a field, with its help, and the plain value that its words stand for."""

from __future__ import annotations

import argparse
import dataclasses
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from jstyle.settings.fields import (
    MISSING,
    default_of,
    field_docs,
    is_flat,
    other_spelling,
    start_of_flat,
    typed_fields,
    values_by_name,
    without_null,
)
from jstyle.settings.leaves import LISTS
from jstyle.settings.yaml_files import parse_yaml

FILES = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}
"""What shtab is told of an option that takes files."""

_METAVARS: Mapping[Any, str] = {int: "N", float: "X", str: "TEXT", Path: "PATH", bool: "{true,false}"}
_WHOLE = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?inf|nan")


class Choices(tuple):
    """The words that an option's help and completion show. Argparse accepts all: the reader's message is better."""

    __slots__ = ()

    def __contains__(self, word: object) -> bool:
        return True


@dataclasses.dataclass(frozen=True)
class Option:
    """An option: the field at `path`, of the dataclass `kind`. `default` is MISSING where it has none, `other` is ""
    where it has no other spelling.
    """

    path: tuple[str, ...]
    hint: Any
    default: Any
    kind: type
    doc: str
    other: str = ""

    @property
    def name(self) -> str:
        """The option as it is typed."""
        return f"--{'.'.join(self.path)}"

    @property
    def inner(self) -> Any:
        """The type without null."""
        return without_null(self.hint)

    @property
    def items(self) -> tuple:
        """(int, ...) of tuple[int, ...], (int, int) of tuple[int, int]; empty where it is no list."""
        arguments = typing.get_args(self.inner)
        if typing.get_origin(self.inner) is list:
            return (arguments[0], ...)
        return arguments if typing.get_origin(self.inner) is tuple else ()

    def add_to(self, group: argparse._ArgumentGroup, *, collects: bool = False) -> None:
        """Add the option to a parser's group; its words are then at `name` in what the parser finds.

        With ``collects`` that is a list, of what each time said; a value that is no list may have several words.
        """
        common: dict[str, Any] = {"dest": self.name, "default": argparse.SUPPRESS, "help": self._help()}
        if self.hint is bool:
            group.add_argument(self.name, f"--no_{self.name[2:]}", action=Switches if collects else Switch, **common)
            return
        shown = self.items[0] if self.items else self.inner
        common["metavar"] = _METAVARS.get(without_null(shown), "YAML")
        words = _choices(self.hint) or (_choices(shown) if self.items else ())
        if words:
            common.update(choices=Choices(words), metavar=f"{{{','.join(words)}}}")
        if self.items:
            is_fixed = self.items[-1] is not Ellipsis and self.inner is self.hint
            common["nargs"] = len(self.items) if is_fixed else "+"
        if collects:
            common.update(action="append", nargs=common.get("nargs", "+"))
        spellings = [self.name, f"--{self.other}"] if self.other else [self.name]
        action: Any = group.add_argument(*spellings, **common)
        if shown is Path:
            action.complete = FILES

    def value_of(self, words: Any) -> Any:
        """The plain value that the words stand for; what they do not fit stays a text, which the reader refuses.

        Raises InputError for a nested value that is not YAML.
        """
        if isinstance(words, bool):
            return words
        if not self.items:
            return _value_of(self.hint, words, self.name)
        if self.inner is not self.hint and words == ["null"]:
            return None
        is_fixed = Ellipsis not in self.items and len(self.items) == len(words)
        hints = self.items if is_fixed else self.items[:1] * len(words)
        return [_value_of(hint, word, self.name) for hint, word in zip(hints, words)]

    def _help(self) -> str:
        shown = " (required)" if self.default is MISSING else f" (default: {_show_default(self.default)})"
        if self.default is None or dataclasses.is_dataclass(self.inner):  # what null stands for is in the doc
            shown = ""
        return f"{self.doc or self.path[-1]}{shown}".strip().replace("%", "%%")


class Switch(argparse.Action):
    """`--name` and `--no_name`."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        """Set whether the option was given by its first spelling."""
        setattr(namespace, self.dest, option_string == self.option_strings[0])


class Switches(Switch):
    """The same, and a list of each time that it was given."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        """Add whether the option was given by its first spelling."""
        given = option_string == self.option_strings[0]
        setattr(namespace, self.dest, [*getattr(namespace, self.dest, ()), given])


def list_options(kind: type, start: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[Option]:
    """The options of a dataclass, of those within too; `start` holds the values that its fields start from."""
    docs = field_docs(kind)
    for field, hint in typed_fields(kind):
        default, inner = default_of(field, start), without_null(hint)
        if is_flat(field):
            yield from list_options(hint, start_of_flat(field, default), path)
            continue
        yield Option((*path, field.name), hint, default, kind, docs.get(field.name, ""), other_spelling(field))
        if dataclasses.is_dataclass(inner):
            yield from list_options(typing.cast(type, inner), values_by_name(default), (*path, field.name))


def _choices(hint: Any) -> tuple[str, ...]:
    """The words that an option takes, where they are few."""
    inner = without_null(hint)
    null = () if inner is hint else ("null",)
    if inner is bool:
        return ("true", "false", *null)
    return (*map(str, typing.get_args(inner)), *null) if typing.get_origin(inner) is Literal else ()


def _value_of(hint: Any, word: str, place: str) -> Any:
    inner = without_null(hint)
    if inner is not hint and word == "null":
        return None
    if inner is str or inner is Path:
        return word
    if inner is bool:
        return {"true": True, "false": False}.get(word, word)
    if typing.get_origin(inner) is Literal:
        return next((choice for choice in typing.get_args(inner) if str(choice) == word), word)
    if inner is int:
        # beyond that many digits Python refuses to read a number at all
        return int(word) if _WHOLE.fullmatch(word) and len(word) < 1000 else word
    if inner is float:
        return float(word) if _NUMBER.fullmatch(word) else word
    return parse_yaml(word, place)


def _show_default(default: Any) -> str:
    if isinstance(default, LISTS):
        return " ".join(_show_default(item) for item in default) or "none"
    if default is None or isinstance(default, bool):
        return {None: "null", True: "true", False: "false"}[default]
    return str(default) or '""'
