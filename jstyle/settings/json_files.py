"""JSON that comes from files: plain data, no key twice, of bounded size and depth, and every mistake one line."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from pathlib import Path
from typing import Any, NoReturn

from jstyle.errors import InputError
from jstyle.settings.messages import Where, show

LARGEST_FILE = 1 << 20  # bytes
_DEEPEST = 100
_LONGEST_NUMBER = 400  # digits; from 4300 on Python refuses, and below that takes long


def read_json(path: Path, *, largest: int = LARGEST_FILE) -> Any:
    """The value in a file in UTF-8, of at most ``largest`` bytes.

    Raises InputError, one line that names the file; its cause is a FileNotFoundError where there is none.
    """
    try:
        if path.exists() and not path.is_file():
            raise Where(repr(str(path))).error("this is not a file")
        with open(path, "rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise Where().error(f"cannot read {str(path)!r}: {error.strerror}") from error
    if len(content) > largest:
        raise Where(repr(str(path))).error(f"this is larger than {largest >> 10} KiB")
    return parse_json(content, repr(str(path)))


def parse_json(content: bytes, place: str) -> Any:
    """The value that bytes in UTF-8 are in JSON. Raises InputError, one line that starts with ``place``."""
    where = Where(place)
    try:
        text = content.decode("utf-8-sig")
        if _measure_depth(text) > _DEEPEST:  # Python's own limit is the stack's end where Jittor has raised it
            raise where.error(f"this nests over {_DEEPEST} deep")
        return json.loads(
            text,
            object_pairs_hook=_refuse_same_keys,
            parse_int=_read_int,
            parse_constant=_refuse_constant,
        )
    except UnicodeDecodeError as error:
        raise where.error("this is not UTF-8 text") from error
    except InputError:
        raise
    except ValueError as error:
        raise Where().error(f"{place} is not JSON: {error}") from error


def _refuse_same_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"the key {show(twice)} stands there twice")
    return values


def _read_int(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise ValueError(f"it holds a number of {len(digits)} digits")
    return int(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it has no {name}")


def _measure_depth(text: str) -> int:
    """How deep brackets nest outside of strings."""
    outside = "".join(text.replace("\\\\", "").replace('\\"', "").split('"')[::2])
    steps = (1 if bracket in "[{" else -1 for bracket in re.findall(r"[\[\]{}]", outside))
    return max(accumulate(steps), default=0)
