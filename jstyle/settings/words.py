"""Settings from the words of a command line: words over a config over defaults, every mistake one line.

Nothing of the engine is imported: `--help` and a mistyped option are answered at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, Optional, Protocol

from jstyle.errors import InputError
from jstyle.settings.fields import MISSING, join_flat
from jstyle.settings.leaves import read_leaf
from jstyle.settings.messages import Where
from jstyle.settings.options import FILES, Option, list_options
from jstyle.settings.other_names import guess_setting
from jstyle.settings.parser import LineParser, list_spellings
from jstyle.settings.reader import build, check, merged, read_value
from jstyle.settings.yaml_files import dump_yaml, read_yaml


class PictureSettings(Protocol):
    """What a picture says of its settings."""

    @property
    def values(self) -> Mapping[str, Any]:
        """Values by the settings' names."""
        ...

    def check_origins(self) -> None:
        """Raise InputError for what must be given beside them, and for files that they name and that have changed."""
        ...


def parse_words(
    kinds: Sequence[type],
    argv: Optional[Sequence[str]],
    prog: str,
    description: str,
    find_config: Optional[Callable[[str], Path]] = None,
    read_picture: Optional[Callable[[Path, Collection[str]], PictureSettings]] = None,
) -> tuple:
    """An instance of each settings dataclass from `--config FILE` and from options, which win over the file.

    Args:
        kinds: dataclasses that have no name in common.
        argv: the words of the command line; the process's own by default.
        prog: the command's name in its help.
        description: what `--help` says of the command.
        find_config: the file that a word after `--config` names; by default the word is its path.
        read_picture: the settings in a picture, which `--from` names, beside those of these names, which win over them.

    Raises InputError, one line, where anything given is wrong; SystemExit(0) after `--help` and `--print_config`.
    """
    joined = join_flat(kinds)
    parser = make_parser(kinds, prog, description, takes_picture=read_picture is not None)
    values = _gather(joined, vars(_read_argv(parser, argv)), find_config or Path, read_picture)
    built = build(joined, values, dashes="--")
    return tuple(getattr(built, f"part{index}") for index in range(len(kinds)))


def parse_axes(
    parser: argparse.ArgumentParser,
    kinds: Sequence[type],
    argv: Optional[Sequence[str]],
    find_config: Callable[[str], Path],
    read_picture: Callable[[Path, Collection[str]], PictureSettings],
    defaults: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, list[Any]], Mapping[str, Any]]:
    """Settings of which some have several values, of the words for a `make_parser` that ``collects``.

    ``defaults`` are plain values of settings that have none, or another. Returns plain values of all, the first where
    there are several; by their dotted names all values of those that have several, in the order of the words; and what
    the parser found. Errors as of `parse_words`.
    """
    joined = join_flat(kinds)
    parsed = vars(_read_argv(parser, argv))
    options = {option.name: option for option in list_options(joined, {})}
    axes: dict[str, list[Any]] = {}
    for name in [name for name in parsed if name in options]:
        option = options[name]
        said = parsed[name]  # of each time, or of a value that is no list all words
        if option.hint is not bool and not option.items:
            said = list(chain.from_iterable(said))
        if len(said) > 1:
            axes[".".join(option.path)] = [_read_option(option, words) for words in said]
        parsed[name] = said[0]
    return _gather(joined, parsed, find_config, read_picture, defaults), axes, parsed


def _gather(
    joined: type,
    parsed: Mapping[str, Any],
    find_config: Callable[[str], Path],
    read_picture: Optional[Callable[[Path, Collection[str]], PictureSettings]],
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """The plain values that were given: options over a picture's over a config's over ``defaults``."""
    options, picture = {option.name: option for option in list_options(joined, {})}, None
    config = _read_config(joined, parsed.get("config", []), find_config)
    values = merged(merged(defaults, config), _read_options(options, parsed))
    if read_picture is not None and "from" in parsed:
        picture = read_picture(read_leaf(Path, parsed["from"], Where("--from")), values.keys())
        values = merged(picture.values, values)
    if "print_config" in parsed:
        encoding = sys.stdout.encoding or "ascii"
        print(dump_yaml(values, ascii_only=not encoding.lower().startswith("utf")), end="")
        raise SystemExit(0)
    if picture is not None:
        picture.check_origins()
    for option in options.values():
        if len(option.path) == 1 and option.default is MISSING and option.path[0] not in values:
            raise InputError(f"{option.name} is missing: give it here or in a --config")
    return values


def make_parser(
    kinds: Sequence[type], prog: str, description: str, *, takes_picture: bool = False, collects: bool = False
) -> argparse.ArgumentParser:
    """The parser of `parse_words`: a group of options for each dataclass, an option for each field.

    It takes options with hyphens too, and raises InputError instead of leaving the process. With ``collects`` a setting
    may have several values, for `parse_axes`.
    """
    parser = LineParser(
        prog=prog,
        description=description,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        exit_on_error=False,
    )
    config: Any = parser.add_argument(
        "--config", action="append", metavar="FILE", help="YAML file with any of the options below"
    )
    config.complete = FILES
    if takes_picture:
        picture: Any = parser.add_argument(
            "--from",
            metavar="PICTURE",
            help="picture of jstyle's or of A1111's web UI, whose settings are the defaults",
        )
        picture.complete = FILES
    if not collects:
        parser.add_argument("--print_config", action="store_true", help="show as YAML what is given, and leave")
    groups: dict[Any, argparse._ArgumentGroup] = {}
    for option in list_options(join_flat(kinds), {}):
        key = (option.kind, option.path[:-1])
        if key not in groups:
            groups[key] = parser.add_argument_group(_title(*key))
        option.add_to(groups[key], collects=collects)
    return parser


def _read_argv(parser: argparse.ArgumentParser, argv: Optional[Sequence[str]]) -> argparse.Namespace:
    try:
        parsed, others = parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        name = (error.argument_name or "").partition("/")[0]
        raise Where(name).error(error.message) from None
    unknown = next((word for word in others if word.startswith("--")), None)
    if unknown is not None:
        name, names = unknown.partition("=")[0], [word[2:] for word in list_spellings(parser) if word.startswith("--")]
        meant = guess_setting(name[2:], names)
        advice = f"did you mean --{meant}?" if meant else "--help lists all there are"
        raise Where().error(f"unknown option {name} ({advice})")
    if others:
        raise Where().error(f"the word {others[0]!r} belongs to no option (--help lists all there are)")
    return parsed


def _read_config(kind: type, words: Sequence[str], find: Callable[[str], Path]) -> Mapping[str, Any]:
    if len(words) > 1:
        raise InputError("--config: one file can be given, and its settings changed by options")
    if not words:
        return {}
    path = find(words[0])
    values = read_yaml(path)
    check(kind, values, f"the config {str(path)!r}")
    return values


def _read_options(options: Mapping[str, Option], parsed: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of the options that were found, nested; --loop.steps goes over what --loop says."""
    values: dict[str, Any] = {}
    for name in sorted(options, key=lambda name: len(options[name].path)):
        if name in parsed:
            option = options[name]
            value = _read_option(option, parsed[name])
            for part in reversed(option.path):
                value = {part: value}
            values = merged(values, value)
    return values


def _read_option(option: Option, words: Any) -> Any:
    """The plain value that an option's words stand for. Raises InputError where it is of another type."""
    value = option.value_of(words)
    read_value(option.hint, value, Where(option.name), whole=False)
    return value


def _title(kind: type, path: tuple[str, ...]) -> str:
    doc = kind.__doc__ or ""
    line = kind.__name__ if doc.startswith(f"{kind.__name__}(") else doc.strip().partition("\n")[0].rstrip(".")
    return f"{'.'.join(path)}: {line}" if path else line
