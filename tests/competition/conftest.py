"""What the tests of submissions share."""

from __future__ import annotations

from pathlib import Path

import pytest

from jstyle.competition.dataset import Dataset, read_dataset
from tests.competition.folders import write_data, write_submission


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return read_dataset(write_data(tmp_path / "data"))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A whole submission for the dataset."""
    return write_submission(tmp_path / "result")
