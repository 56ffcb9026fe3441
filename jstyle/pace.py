"""How fast a run goes: what an update and an evaluation take, read off the times at which its events come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Optional, Union

from jstyle.events import Evaluated, Updated

Work = Union[Evaluated, Updated]


class Pace:
    """Seconds per evaluation and per update of a run; the time before an event is that event's.

    The first event of each kind may have compiled kernels, and counts only as long as it is the only one.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._last = clock()
        self._first: dict[type[Any], float] = {}
        self._spent: dict[type[Any], tuple[int, float]] = {}

    def note(self, event: object) -> None:
        """An event has come; of one that is no work the time before is nobody's."""
        before, self._last = self._last, self._clock()
        if not isinstance(event, (Evaluated, Updated)) or event.count <= 0:
            return
        kind, seconds = type(event), self._last - before
        if kind not in self._first:
            self._first[kind] = seconds / event.count
        else:
            count, total = self._spent.get(kind, (0, 0.0))
            self._spent[kind] = count + event.count, total + seconds

    def read(self, kind: type[Work]) -> Optional[float]:
        """Seconds for one, None where none has come."""
        count, total = self._spent.get(kind, (0, 0.0))
        return total / count if count else self._first.get(kind)

    def estimate(self, *, evaluations: int, updates: int) -> Optional[float]:
        """Seconds for so much work, None where of a kind none has come."""
        seconds = 0.0
        for kind, count in ((Evaluated, evaluations), (Updated, updates)):
            one = self.read(kind)
            if count > 0 and one is None:
                return None
            seconds += max(0, count) * (one or 0.0)
        return seconds
