"""Arrays that go on where they stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jstyle.errors import InputError
from recipes.tiny import growing
from recipes.tiny.growing import fill_array

WANTED = np.arange(30, dtype=np.int32).reshape(10, 3)


class Maker:
    """Yields rows in blocks of three, and is interrupted before the last ones."""

    def __init__(self, until: int = 10) -> None:
        self.until = until
        self.begun_at = -1

    def __call__(self, start: int) -> Iterator[np.ndarray]:
        self.begun_at = start
        for first in range(start, 10, 3):
            if first >= self.until:
                raise KeyboardInterrupt
            yield WANTED[first : first + 3]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "_SAVED_EVERY", 3)


def fill(file: Path, make: Maker, **identity: int) -> None:
    fill_array(file, WANTED.shape, np.int32, {"seed": 1, **identity}, make)


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    file = tmp_path / "rows.npy"
    with pytest.raises(KeyboardInterrupt):
        fill(file, Maker(until=6))
    assert not file.exists()
    rest = Maker()
    fill(file, rest)
    assert rest.begun_at == 6
    np.testing.assert_array_equal(np.load(file), WANTED)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".json"] == ["rows.npy"]
    again = Maker()
    fill(file, again)
    assert again.begun_at == -1


def test_what_was_begun_for_something_else_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / "rows.npy"
    with pytest.raises(KeyboardInterrupt):
        fill(file, Maker(until=6))
    other = Maker()
    fill(file, other, seed=2)
    assert other.begun_at == 0
    np.testing.assert_array_equal(np.load(file), WANTED)


def test_what_is_there_is_not_taken_for_something_else(tmp_path: Path) -> None:
    file = tmp_path / "rows.npy"
    fill(file, Maker())
    with pytest.raises(InputError, match=r"rows\.npy was made with seed = 1, not 2; choose another output"):
        fill(file, Maker(), seed=2)
    fill(file, Maker())
