"""What all scripts share: options from a settings dataclass, and every expected failure as one line.

Nothing of the engine is imported here, because that starts Jittor: `--help` and a mistyped option are
answered at once.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import errno
import inspect
import os
import re
import sys
import textwrap
import typing
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Optional, TypeVar, Union, overload

from jsonargparse import ActionYesNo, ArgumentError, ArgumentParser

Settings = TypeVar("Settings")
Extra = TypeVar("Extra")
More = TypeVar("More")

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Known by name: where the engine cannot start, its classes cannot be imported for a comparison either.
_EXIT_CODES = {"jstyle.errors.InputError": 2, "jstyle.runtime.start_error.StartError": 1}
# jsonargparse's messages in the words of somebody who types options.
_WORDING = (
    (r'Parser key "([^"]+)"( element \d+)?:', r"--\1:"),
    (r"Does not validate against any of the Union subtypes Subtypes: \[(.*?)\] Errors: .* Given value: (.*)",
     r"Expected one of \1. Got value: \2"),
    (r"'\w+' object (does not support item assignment|is not iterable)", "Expected a list, such as [a, b]"),
    (r"'utf-8' codec can't decode.*", "the config is not UTF-8 text"),
    (r"Problems parsing config:", "the config is not YAML:"),
    (r"Unexpected config:.*", "the config is not a mapping of settings (name: value)"),
    (r"Option '(\S+)' is not accepted", r"unrecognized setting: \1"),
    (r"Expected a <class '(?:\w+\.)*(\w+)'>", r"Expected \1"),
    (r"<class '(?:\w+\.)*(\w+)'>", r"\1"),
    (r"\btyping\.", ""),
    (r"NoneType", "null"),
)  # fmt: skip


@overload
def parse(settings: type[Settings], description: str, argv: Optional[Sequence[str]] = None) -> Settings: ...


@overload
def parse(
    settings: type[Settings], description: str, argv: Optional[Sequence[str]] = None, *, extra: type[Extra]
) -> tuple[Settings, Extra]: ...


@overload
def parse(
    settings: type[Settings],
    description: str,
    argv: Optional[Sequence[str]] = None,
    *,
    extra: tuple[type[Extra], type[More]],
) -> tuple[Settings, Extra, More]: ...


def parse(
    settings: type, description: str, argv: Optional[Sequence[str]] = None, *, extra: Union[type, tuple, None] = None
) -> Any:
    """A settings dataclass filled from `--config FILE.yaml` and from options, the later winning.

    Each field is an option of its name, with the type and default it has; the string below a field is its
    help. A tuple takes several values, a bool becomes `--name` and `--no_name`, a dataclass within becomes
    `--name.field`. `--print_config` shows as YAML what was given.

    Args:
        settings: a dataclass; its `__post_init__` may raise ValueError.
        description: what `--help` says of the script.
        argv: the words of the command line; the process's own by default.
        extra: another dataclass or two, whose options stand beside the first's. Then all are returned.

    Raises:
        SystemExit: 2 after one line on stderr where anything given is wrong; 0 after `--help`.
    """
    classes = [settings, *(extra if isinstance(extra, tuple) else [extra] if extra else [])]
    parser = ArgumentParser(description=description, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="YAML file with any of the options below")
    for one in classes:
        _add_options(parser, one)
    try:
        given = parser.instantiate(parser.parse_args(argv))
        built = [_build(one, vars(given)) for one in classes]
    except (ArgumentError, ValueError, OSError) as error:
        names = [field.name for one in classes for field in dataclasses.fields(one)]
        _exit(2, _reworded(str(error), names))
    return built[0] if extra is None else tuple(built)


def _add_options(parser: ArgumentParser, settings: type) -> None:
    hints, docs = typing.get_type_hints(settings), _field_docs(settings)
    for field in dataclasses.fields(settings):
        given: dict[str, Any] = {"help": docs.get(field.name) or field.name}
        if field.default is not dataclasses.MISSING:
            given["default"] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            given["default"] = field.default_factory()
        else:
            given["required"] = True
        elements = _elements(hints[field.name])
        if hints[field.name] is bool:
            given["action"] = ActionYesNo
        elif elements:
            given.update(type=elements[0], nargs="+" if elements[-1] is Ellipsis else len(elements))
            if given.get("default") is not None:
                given["default"] = list(given["default"])
        else:
            given["type"] = hints[field.name]
        parser.add_argument(f"--{field.name}", **given)


def _elements(hint: Any) -> tuple:
    """(int, ...) of tuple[int, ...] and of its Optional, (int, int) of tuple[int, int], else nothing."""
    if typing.get_origin(hint) is Union:
        hint = next((one for one in typing.get_args(hint) if one is not type(None)), hint)
    return typing.get_args(hint) if typing.get_origin(hint) is tuple else ()


def _field_docs(settings: type) -> dict[str, str]:
    """The string that stands below each field; it exists in the source alone."""
    docs: dict[str, str] = {}
    for one in reversed([base for base in settings.__mro__ if dataclasses.is_dataclass(base)]):
        definition = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
        statements = definition.body if isinstance(definition, ast.ClassDef) else []
        for field, below in zip(statements, statements[1:]):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                docs[field.target.id] = " ".join(str(below.value.value).split())
    return docs


def _build(settings: type, given: dict[str, Any]) -> Any:
    hints, values = typing.get_type_hints(settings), {}
    for field in dataclasses.fields(settings):
        value, elements = given[field.name], _elements(hints[field.name])
        if elements and value is not None:
            if Ellipsis not in elements and len(value) != len(elements):
                raise ValueError(f"--{field.name}: Expected {len(elements)} values. Got {len(value)}")
            value = tuple(value)
        values[field.name] = value
    return settings(**values)


def _reworded(message: str, names: Sequence[str]) -> str:
    message = " ".join(message.split())
    for pattern, replacement in _WORDING:
        message = re.sub(pattern, replacement, message)
    unknown = re.match(r"unrecognized \w+: (?:--)?(\w+)", message)
    close = difflib.get_close_matches(unknown[1], names, 1) if unknown else []
    return f"{message} (did you mean {close[0]}?)" if close else message


def run(main: Callable[[], Optional[int]]) -> NoReturn:
    """Call `main` and leave the process with its exit code; what a user can mend becomes one line on stderr.

    Wrong input exits with 2, an engine that cannot start and a full disk with 1, Ctrl-C with 130, and a
    reader that closed our output (`| head`) silently with 141. Anything else is a defect and keeps its
    traceback.
    """
    try:
        code = main() or 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        _exit(130, "interrupted")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its exit
        sys.exit(141)
    except Exception as error:
        names = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]
        known = [_EXIT_CODES[name] for name in names if name in _EXIT_CODES]
        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            _exit(1, f"{error.strerror} ({error.filename or 'while writing'}): free some space")
        if not known:
            raise
        _exit(known[0], str(error))
    sys.exit(code)


def _exit(code: int, message: str) -> NoReturn:
    print("error:", " ".join(message.split()), file=sys.stderr)
    sys.exit(code)
