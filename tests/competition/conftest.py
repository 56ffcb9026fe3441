"""What the tests of submissions share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jstyle.competition.dataset import Dataset, read_dataset
from tests.competition.folders import write_data, write_submission

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return read_dataset(write_data(tmp_path / "data"))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A whole submission for the dataset."""
    return write_submission(tmp_path / "result")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


@pytest.fixture
def workers_find_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes find the project's packages where it is not installed anew."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
