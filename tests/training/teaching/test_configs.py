"""The configs of the ways to teach."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from jstyle.settings.reader import build
from jstyle.settings.yaml_files import read_yaml
from jstyle.training.teaching.table import TEACHINGS

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


@pytest.mark.parametrize("name", [name for name in TEACHINGS if name != "inst"])
def test_the_config_is_read(name: str) -> None:
    settings = build(TEACHINGS[name].settings, {**read_yaml(CONFIGS / f"{name}.yaml"), "data": ["x"]})
    assert settings.model.model == "tiny" and settings.data == (Path("x"),) and settings.guidance == 3
    # what a config sets differs from the defaults, or would not be said
    assert any(getattr(settings.loop, field.name) != field.default for field in dataclasses.fields(settings.loop))
    if name == "dreambooth":  # the class is drawn as the taught pictures are looked at
        assert settings.class_pictures.class_guidance == settings.guidance
