"""What is made when it is first asked for, and kept until it is let go."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from jstyle.events import Evaluated, exhaust
from jstyle.methods.kept import Kept


def test_what_is_missing_is_made_together_and_once() -> None:
    made: list[list[int]] = []

    def square(keys: Sequence[int]) -> Generator[Evaluated, None, list[int]]:
        made.append(list(keys))
        yield Evaluated("squares", len(keys))
        return [key * key for key in keys]

    kept = Kept(square)
    assert exhaust(kept.fetch([3, 2, 3])) == [9, 4, 9]
    assert list(kept.fetch([2, 4])) == [Evaluated("squares", 1)]
    assert exhaust(kept.fetch([4, 2, 3])) == [16, 4, 9]
    kept.forget([2, 7])
    assert exhaust(kept.fetch([2, 3])) == [4, 9]
    assert made == [[3, 2], [4], [2]]
