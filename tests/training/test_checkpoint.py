"""Checkpoints are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jstyle.errors import InputError
from jstyle.files import name_part
from jstyle.runtime import jt
from jstyle.training import TrainState, checkpoint
from tests.training import regression
from tests.training.killed import LONG
from tests.training.regression import SETTINGS, bits, run

ROOT = Path(__file__).resolve().parents[2]


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.training.killed", str(tmp_path), "10"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    files = [tmp_path / name / f"step-{LONG.steps:08d}" / "state.safetensors" for name in ("whole", "killed")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_only_the_last_is_kept_and_it_says_what_it_is(tmp_path: Path) -> None:
    run(tmp_path, most=5)
    assert os.listdir(tmp_path) == ["step-00000005"]
    told = json.loads((tmp_path / "step-00000005" / "state.json").read_text())
    assert told["step"] == 5 and told["identity"]["rate"] == SETTINGS.rate
    assert set(told["versions"]) == {"jstyle", "jittor", "numpy", "python"}


def test_the_one_before_stays_until_the_new_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, _ = run(tmp_path, most=4)
    before = bits(state)

    def full_disk(file: Path, content: bytes) -> None:
        file.write_bytes(content[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "_write", full_disk)
    with pytest.raises(InputError, match="cannot write .*step-00000006.*No space left on device.*free some space"):
        run(tmp_path)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["step-00000004"]
    last = checkpoint.find_latest(tmp_path)
    assert last is not None
    fresh = TrainState(regression.parameters(), SETTINGS)
    fresh.restore(last.tensors(), last.step)
    assert bits(fresh) == before and fresh.step == 4


def test_what_a_killed_writer_leaves_is_passed_over_and_cleared(tmp_path: Path) -> None:
    run(tmp_path, most=4)
    part = name_part(tmp_path / "state")
    part.mkdir()
    (part / "state.safetensors").write_bytes(b"half")
    (tmp_path / "samples").mkdir()
    run(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["samples", "step-00000007"]


def test_damage_is_said(tmp_path: Path) -> None:
    run(tmp_path, most=4)
    path = tmp_path / "step-00000004"
    (path / "state.safetensors").write_bytes((path / "state.safetensors").read_bytes()[:-1])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        run(tmp_path)
    (path / "state.json").write_text("{")
    with pytest.raises(InputError, match="step-00000004 is damaged"):
        run(tmp_path)


def test_other_parameters_are_refused_before_any_change(tmp_path: Path) -> None:
    run(tmp_path, most=2)
    last = checkpoint.find_latest(tmp_path)
    assert last is not None
    other = TrainState({**regression.parameters(), "b1": jt.zeros([9])}, SETTINGS)
    before = bits(other)
    with pytest.raises(InputError, match=r"checkpoint is of other parameters: \S+b1 is missing or of another shape"):
        other.restore(last.tensors(), last.step)
    assert bits(other) == before


def test_no_folder_means_no_checkpoint(tmp_path: Path) -> None:
    assert checkpoint.find_latest(tmp_path / "none") is None
