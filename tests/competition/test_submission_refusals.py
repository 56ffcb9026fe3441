"""What stands in the way of a submission is told before, and nothing wrong is packed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Optional

import pytest

from jstyle.competition.run import SubmissionInputs, run_submission
from jstyle.errors import InputError
from jstyle.events import Failure
from jstyle.holding import held
from jstyle.jobs.engine import Engine
from jstyle.workers import pictures as workers
from tests.competition.folders import picture
from tests.competition.submissions import RECIPE, fail, make, run, said, submission, write_recipe

pytestmark = pytest.mark.usefixtures("workers_find_the_project")


def test_a_file_in_the_place_of_the_folder_is_found_first(data: Path, tmp_path: Path) -> None:
    write_recipe(data, "model: no-such-model")
    (tmp_path / "out").write_text("somebody's")
    assert fail(
        run_submission(SubmissionInputs(data, tmp_path / "recipe.yaml", output=tmp_path / "out"), Engine())
    ) == [f"'{tmp_path / 'out'}' is a file, not a folder for the results; choose another output"]


def test_a_style_sheet_takes_nobodys_file(data: Path, tmp_path: Path) -> None:
    write_recipe(data)
    foreign = tmp_path / "out" / "sheets" / "00.png"
    foreign.parent.mkdir(parents=True)
    picture(1).save(foreign)
    before = foreign.read_bytes()
    with pytest.raises(InputError, match=r"00\.png' exists, but jstyle did not make it"):
        run(data, tmp_path / "out")
    assert foreign.read_bytes() == before and not (tmp_path / "out" / "pictures").exists()


def test_nothing_is_packed_where_something_is_wrong(data: Path, tmp_path: Path) -> None:
    make(submission(data, tmp_path / "out"))
    (tmp_path / "out" / "pictures" / "00" / "Cat.png").write_bytes(b"x")
    events = run(data, tmp_path / "out")
    failures = [event.reason for event in events if isinstance(event, Failure)]
    assert failures == ["'00/Cat.png' does not belong there: the scorer opens every file"]
    assert said(events)[-1].endswith("nothing is packed")
    assert not (tmp_path / "out" / "result.zip").exists()


def test_a_picture_that_could_not_be_renewed_is_not_packed_as_it_was(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(submission(data, tmp_path / "out"))
    write_recipe(data, RECIPE + "      Watch: {seed: 9}\n")

    def refuse(*_: object) -> None:
        raise InputError("no")

    monkeypatch.setattr(workers, "write_picture", refuse)
    events = run(data, tmp_path / "out", overwrite=True)
    assert [event for event in events if isinstance(event, Failure)] == [Failure("02/Watch.png", "no")]
    assert not (tmp_path / "out" / "result.zip").exists()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert not manifest["complete"] and "02/Watch.png" not in manifest["pictures"]


def test_everything_that_is_wrong_is_said_at_once(data: Path, tmp_path: Path) -> None:
    (data / "00" / "prompt.json").write_text('{"0": "a/b"}')
    (data / "02" / "prompt.json").unlink()
    write_recipe(data, "picture: {step: 4}")
    errors = fail(run_submission(SubmissionInputs(data, tmp_path / "recipe.yaml", output=tmp_path / "out"), Engine()))
    assert len(errors) == 3
    for error, words in zip(errors, ("cannot be a file name", "style 02 has no prompts", "unknown setting 'step'")):
        assert words in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verify", [None, 1])
def test_two_runs_in_one_folder_are_refused_before_anything_is_read(
    data: Path, tmp_path: Path, verify: Optional[int]
) -> None:
    inputs = SubmissionInputs(data, write_recipe(data), output=tmp_path / "out", verify=verify)
    with held(inputs.output), pytest.raises(InputError, match=rf"process {os.getpid()}.* works in '.*out'"):
        list(run_submission(inputs, Engine()))
    assert not inputs.output.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"zip": ""}, "zip: '' cannot be the name of a file: it is empty"),
        ({"zip": "../result.zip"}, "it holds '/'"),
        ({"zip": "manifest.json"}, "zip must be a name that ends in .zip, not 'manifest.json'"),
        ({"zip": "r" * 300}, "it takes 300 bytes"),
        ({"zip_folder": "a/../b"}, r"zip_folder: '..' cannot be the name of a file: it starts or ends with a dot"),
    ],
)
def test_a_zip_that_cannot_be_written_is_refused_at_once(words: dict, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        SubmissionInputs(tmp_path, preset="baseline", **words)
