"""The scripts with their configs, on the embedded model."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from jstyle.training.teaching.settings import (
    DreamBoothSettings,
    FineTuningSettings,
    LoraSettings,
    TextualInversionSettings,
)
from tests.training.teaching.small import pictures

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts"))

from command_line import parse  # noqa: E402

KINDS = {"textual_inversion": TextualInversionSettings, "lora": LoraSettings, "dreambooth": DreamBoothSettings}
RESULTS = {
    "textual_inversion": "learned_embeds.safetensors",
    "lora": "pytorch_lora_weights.safetensors",
    "dreambooth": "model/model_index.json",
}


def script(name: str, words: Sequence[str]) -> subprocess.CompletedProcess:
    command = [sys.executable, f"scripts/train_{name}.py", "--config", f"configs/{name}.yaml", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", [*KINDS, "fine_tuning"])
def test_the_config_is_read(name: str) -> None:
    given = parse(
        {**KINDS, "fine_tuning": FineTuningSettings}[name],
        "",
        ["--config", str(ROOT / "configs" / f"{name}.yaml"), "--data", "x"],
    )
    assert given.model == "tiny" and given.data == (Path("x"),) and given.guidance == 3
    # what a config sets differs from the defaults, or would not be said
    assert any(getattr(given.loop, field.name) != field.default for field in dataclasses.fields(given.loop))


@pytest.mark.parametrize("name", list(KINDS))
def test_the_script_trains(name: str, tmp_path: Path) -> None:
    data = pictures(tmp_path / "data")
    words = ["--data", str(data), "--output", str(tmp_path / "run"), "--loop.steps", "2", "--loop.warmup", "0"]
    words += ["--validation_every", "2", "--validation_steps", "1", "--batch", "1"]
    done = script(name, words + (["--class_images", "1"] if name == "dreambooth" else []))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / RESULTS[name]).is_file() and (tmp_path / "run" / "validation-000002.png").is_file()
    assert str(tmp_path / "run") in done.stdout


def test_a_mistake_is_one_line(tmp_path: Path) -> None:
    done = script("lora", ["--data", str(tmp_path / "none"), "--output", str(tmp_path / "run")])
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: cannot read")
