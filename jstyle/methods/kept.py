"""What is made when it is first asked for, such as inversions, and kept until nobody needs it any more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Hashable, Sequence
from typing import Generic, TypeVar

from jstyle.events import Evaluated

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """Values by their keys. ``make(keys)`` makes several together, and says what it evaluates meanwhile."""

    def __init__(self, make: Callable[[Sequence[Key]], Generator[Evaluated, None, list[Value]]]) -> None:
        self._make = make
        self._kept: dict[Key, Value] = {}

    def fetch(self, keys: Sequence[Key]) -> Generator[Evaluated, None, list[Value]]:
        """The values of these keys; those that are not there yet are made together."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._kept]
        if missing:
            self._kept.update(zip(missing, (yield from self._make(missing))))
        return [self._kept[key] for key in keys]

    def forget(self, keys: Collection[Key]) -> None:
        """Let go the values of these keys, and of those that are not there nothing."""
        for key in keys:
            self._kept.pop(key, None)
