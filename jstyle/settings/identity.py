"""What settings are, as far as the result is concerned: their identity, its digest, and where two differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Optional

from jstyle.settings.fields import is_free, is_later_default
from jstyle.settings.reader import plain


class Absent:
    """The type of ABSENT, which stands for a value that is not there."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT = Absent()


def identity(value: Any) -> dict[str, Any]:
    """A settings dataclass as JSON holds it, without the fields that do not change the result (`fields.free`), and
    without later ones that are as everything was before there were any (`fields.later`).
    """
    return plain(value, without=lambda field, held: is_free(field) or is_later_default(field, held))


def digest(value: Any) -> str:
    """SHA-256, in hexadecimal, of the identity as canonical JSON.

    Names are sorted, and whole floats are written as whole numbers (as in RFC 8785), so that neither a class's name,
    nor the order of its fields, nor 1 in the place of 1.0 makes a difference.
    """
    text = json.dumps(_canonical(identity(value)), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def find_difference(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Optional[tuple[str, Any, Any]]:
    """The dotted path of the first value in which two identities differ, and that value in each (or ABSENT).

    None where they are the same.
    """
    return _find_difference(wanted, found, "")


def _find_difference(wanted: Any, found: Any, path: str) -> Optional[tuple[str, Any, Any]]:
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        pairs = [
            (f"{path}.{name}" if path else str(name), wanted.get(name, ABSENT), found.get(name, ABSENT))
            for name in dict.fromkeys([*wanted, *found])
        ]
    elif isinstance(wanted, (list, tuple)) and isinstance(found, (list, tuple)) and len(wanted) == len(found):
        pairs = [(f"{path}[{i}]", left, right) for i, (left, right) in enumerate(zip(wanted, found))]
    else:
        is_same = wanted == found and isinstance(wanted, bool) == isinstance(found, bool)
        return None if is_same else (path, wanted, found)
    differences = (_find_difference(left, right, inner) for inner, left, right in pairs)
    return next((difference for difference in differences if difference is not None), None)


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_canonical(inner) for inner in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value
