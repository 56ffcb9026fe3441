"""What a submission must be, and that packing it depends on its pictures alone."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jstyle.competition.archive import check_pictures, list_pictures, pack_pictures
from jstyle.competition.dataset import Dataset, Style
from jstyle.errors import InputError
from tests.competition.folders import SIDE, picture

Break = Callable[[Path], Any]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


WRONG: list[tuple[str, Break, str]] = [
    ("missing", lambda root: (root / "00" / "Dolphin.png").unlink(), "'00/Dolphin.png' is missing"),
    ("surplus", lambda root: picture(1).save(root / "00" / "Cat.png"), "'00/Cat.png' does not belong there"),
    ("a note", lambda root: (root / "00" / "notes.txt").write_text("x"), "'00/notes.txt' does not belong there"),
    ("at the top", lambda root: (root / "score.json").write_text("x"), "'score.json' does not belong there"),
    ("an empty folder", lambda root: (root / "05").mkdir(), "'05/' does not belong there"),
    ("size", lambda root: picture(1, (SIDE, 32)).save(root / "02" / "Lion.png"), "'02/Lion.png' is 24x32, not 24x24"),
    ("grey", lambda root: picture(1).convert("L").save(root / "02" / "Lion.png"), "'02/Lion.png' is L, not RGB"),
    ("alpha", lambda root: picture(1).convert("RGBA").save(root / "02" / "Lion.png"), "is RGBA, not RGB"),
    ("JPEG", lambda root: picture(1).save(root / "02" / "Lion.png", "JPEG"), "'02/Lion.png' is no whole PNG"),
    ("cut", lambda root: cut(root / "02" / "Lion.png"), "'02/Lion.png' is no whole PNG"),
    ("empty", lambda root: (root / "02" / "Lion.png").write_bytes(b""), "'02/Lion.png' is no whole PNG"),
]


@pytest.mark.parametrize(("damage", "said"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_is_wrong_is_one_line(damage: Break, said: str, dataset: Dataset, made: Path) -> None:
    damage(made)
    findings = check_pictures(made, dataset)
    assert len(findings.errors) == 1
    assert said in findings.errors[0]


def test_many_missing_pictures_are_summed_up(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path, (Style("00", (), tuple(f"Prompt {i}" for i in range(100))),))
    errors = check_pictures(tmp_path, dataset).errors
    assert errors == [f"'00/Prompt {i}.png' is missing" for i in range(5)] + ["... and 95 more of this kind"]


def test_a_good_submission(dataset: Dataset, made: Path) -> None:
    assert not check_pictures(made, dataset).errors
    assert not check_pictures(made, dataset, size=(SIDE, SIDE)).errors
    assert "24x24, not 512x512" in check_pictures(made, dataset, size=(512, 512)).errors[0]
    assert "no folder" in check_pictures(made / "nowhere", dataset).errors[0]


def test_case_matters_in_a_name(dataset: Dataset, made: Path) -> None:
    (made / "00" / "Dolphin.png").rename(made / "00" / "dolphin.png")
    errors = check_pictures(made, dataset).errors
    assert ["missing" in errors[0], "does not belong" in errors[1], len(errors)] == [True, True, 2]


def test_the_same_pictures_make_the_same_zip(dataset: Dataset, made: Path, tmp_path: Path) -> None:
    for file in made.rglob("*.png"):
        os.utime(file, (1e9, 1e9))
        file.chmod(0o600)
    pack_pictures(made, dataset, tmp_path / "a" / "result.zip")
    again = tmp_path / "other"
    for name in reversed(list_pictures(dataset)):
        (again / name).parent.mkdir(parents=True, exist_ok=True)
        (again / name).write_bytes((made / name).read_bytes())
    pack_pictures(again, dataset, tmp_path / "b.zip")
    assert (tmp_path / "a" / "result.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == list_pictures(dataset)
        assert list_pictures(dataset)[1] == "00/Ice cream.png"
        archive.extractall(tmp_path / "unpacked")
    assert not check_pictures(tmp_path / "unpacked", dataset).errors
    Image.new("RGB", (SIDE, SIDE)).save(made / "00" / "Dolphin.png")
    pack_pictures(made, dataset, tmp_path / "c.zip")
    assert (tmp_path / "c.zip").read_bytes() != (tmp_path / "b.zip").read_bytes()


def test_a_folder_before_every_name(dataset: Dataset, made: Path, tmp_path: Path) -> None:
    pack_pictures(made, dataset, tmp_path / "a.zip", folder="result/")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist()[0] == "result/00/Dolphin.png"


def test_a_failed_packing_leaves_the_old_zip(dataset: Dataset, made: Path, tmp_path: Path) -> None:
    target = tmp_path / "zips" / "result.zip"
    pack_pictures(made, dataset, target)
    before = target.read_bytes()
    (made / "02" / "Watch.png").unlink()
    with pytest.raises(InputError, match=r"Watch\.png"):
        pack_pictures(made, dataset, target)
    assert target.read_bytes() == before
    assert os.listdir(target.parent) == ["result.zip"]
