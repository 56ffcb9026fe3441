"""The model, a picture and a finished training that the tests of InST share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.methods.inst.small import picture, run, write_model


@pytest.fixture(scope="package")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(scope="package")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "squares.png"
    picture(1).save(file)
    return file


@pytest.fixture(scope="package")
def finished(model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a whole run."""
    return run(model, data, tmp_path_factory.mktemp("runs") / "whole")
