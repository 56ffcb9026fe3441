"""Arguments of functions: their names, with the one that was meant, and the demands that many of them share.

Each reader takes the argument's name and value and gives the value, or raises InputError, one line that names it.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Optional

from jstyle.errors import InputError
from jstyle.settings.leaves import unwrap_numpy
from jstyle.settings.messages import show, suggest
from jstyle.settings.vocabulary import LARGEST_FACTOR, MOST_THINGS


def list_arguments(function: Callable[..., Any]) -> list[str]:
    """The names that a function, method or class takes, without the one before the dot and the collecting ones."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(function).parameters.values()
    return [one.name for one in parameters if one.kind in named and one.name not in ("self", "cls")]


def refuse_unknown(where: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise InputError for the first name among those ``given`` that is not known, with the one that was meant."""
    known = list(known)
    for name in given:
        if name not in known:
            raise InputError(f"{where} has no argument {name!r:.60}; {suggest(name, known)}")


def read_yes(name: str, value: Any) -> bool:
    """True or False, NumPy's too, and nothing that only counts as one of them."""
    value = unwrap_numpy(value)
    if not isinstance(value, bool):
        raise InputError(f"{name} must be True or False, not {show(value)}")
    return value


def read_number(name: str, value: Any, least: float = -LARGEST_FACTOR, most: float = LARGEST_FACTOR) -> float:
    """A number within these bounds."""
    value = unwrap_numpy(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -math.inf < value < math.inf:
        raise InputError(f"{name} must be a finite number, not {show(value)}")
    if not least <= value <= most:
        raise InputError(f"{name} must be from {least:g} to {most:g}, not {show(value)}")
    return value


def read_share(name: str, value: Any) -> float:
    """A number from 0 to 1."""
    return read_number(name, value, 0, 1)


def read_whole(name: str, value: Any, least: int = 0, most: int = MOST_THINGS) -> int:
    """A whole number within these bounds."""
    value = unwrap_numpy(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(f"{name} must be a whole number from {least} to {most}, not {show(value)}")
    return value


def read_name(name: str, value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise InputError(f"{name} must be a name, not {show(value)}")
    return value


def read_names(name: str, value: Any, known: Sequence[str]) -> tuple[str, ...]:
    """A list of names, all of them known."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
        raise InputError(f"{name} must be a list of names, not {show(value)}")
    unknown = [one for one in value if one not in known]
    if unknown:
        raise InputError(f"{name} may be {', '.join(known)}, not {unknown[0]!r:.60}")
    return tuple(value)


def read_function(name: str, value: Any) -> Any:
    """What can be called."""
    if not callable(value):
        raise InputError(f"{name} must be a function, not {show(value)}")
    return value


def read_optional(read: Callable[..., Any], name: str, value: Any, *bounds: Any) -> Optional[Any]:
    """As ``read``, and None for None."""
    return None if value is None else read(name, value, *bounds)
