"""Sheets of what trainings changed: they show the pictures of their own trainings, or are not written."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from jstyle.pictures.finished import write_picture
from jstyle.settings.model import ModelSettings
from jstyle.training.many_styles.sheets import BeforeAfter
from jstyle.weights.description import describe_checkpoint
from tests.competition.folders import write_data
from tests.training.many_styles.small import MODEL, training


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


def test_what_another_training_has_left_is_on_no_sheet(data: Path, tmp_path: Path) -> None:
    model = ModelSettings(str(MODEL))

    def plan(rank: int) -> BeforeAfter:
        job = training(data, tmp_path, changes={"rank": rank}, only=["00"])
        return BeforeAfter(job.trainings, tmp_path, model, describe_checkpoint(model))

    old, new = plan(2), plan(3)
    for picture in old.pictures:
        write_picture(Image.new("RGB", (8, 8)), tmp_path / picture.place, picture.spec)
    assert list(old.write_sheets()) == [tmp_path / "sheets" / "00.png"]
    unfinished = new.list_unfinished()
    assert [picture.place for picture in unfinished] == ["00/after/00.png"]
    assert list(new.write_sheets()) == []
    write_picture(Image.new("RGB", (8, 8)), tmp_path / unfinished[0].place, unfinished[0].spec)
    assert list(new.write_sheets()) == [tmp_path / "sheets" / "00.png"]
