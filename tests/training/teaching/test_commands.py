"""The commands `jstyle train NAME` with their configs, on the embedded model."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from jstyle.cli.exit_codes import exit_with
from jstyle.cli.main import main
from jstyle.errors import InputError
from jstyle.settings.configs import find_config
from jstyle.settings.words import parse_words
from jstyle.training import TrainState, TrainStep, loop
from jstyle.training.report import read_log
from jstyle.training.teaching.table import TEACHINGS
from tests.training.teaching.small import pictures

CONFIGS = ("textual_inversion", "lora", "dreambooth", "fine_tuning")


@pytest.mark.parametrize("name", CONFIGS)
def test_the_config_is_read(name: str) -> None:
    words = ["--config", name, "--data", "x"]
    (settings,) = parse_words((TEACHINGS[name].settings,), words, "", "", find_config)
    assert settings.model.model == "tiny" and settings.data == (Path("x"),) and settings.guidance == 3
    # what a config sets differs from the defaults, or would not be said
    assert any(getattr(settings.loop, field.name) != field.default for field in dataclasses.fields(settings.loop))


@pytest.mark.parametrize("name", CONFIGS)
def test_the_command_trains(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, teaching = tmp_path / "run", TEACHINGS[name]
    words = ["--config", name, "--data", str(pictures(tmp_path / "data")), "--output", str(output), "--batch", "1"]
    words += ["--loop.steps", "2", "--loop.warmup", "0", "--validation_every", "2", "--validation_steps", "1"]
    words += ["--class_images", "1"] if name == "dreambooth" else []
    assert main(["train", teaching.command, *words]) == 0
    assert (output / teaching.result).is_file() and (output / "validation-000002.png").is_file()
    assert f"the result is in {output}" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_waits_for_the_update_at_hand(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command ends with a checkpoint of that update and exit code 130; the same command goes on from it."""
    take_step = loop._step

    def step_and_ask(state: TrainState, *arguments: Any) -> TrainStep:
        if state.step == 1:
            os.kill(os.getpid(), number)
        return take_step(state, *arguments)

    monkeypatch.setattr(loop, "_step", step_and_ask)
    output = tmp_path / "run"
    words = ["train", "lora", "--data", str(pictures(tmp_path / "data")), "--output", str(output), "--loop.steps", "4"]
    with pytest.raises(SystemExit) as end:
        exit_with(lambda: main(words))
    assert end.value.code == 130 and "error: interrupted" in capsys.readouterr().err
    assert [path.name for path in (output / "checkpoint").iterdir()] == ["step-00000002"]
    monkeypatch.undo()
    assert main(words) == 0
    assert [record["step"] for record in read_log(output)] == [1, 2, 3, 4]
    assert "2/2" in capsys.readouterr().err


def test_a_mistake_is_an_input_error(tmp_path: Path) -> None:
    words = ["--config", "lora", "--data", str(tmp_path / "none"), "--output", str(tmp_path / "run")]
    with pytest.raises(InputError, match="cannot read"):
        main(["train", "lora", *words])
