"""A model that stays loaded between runs: the same one where nothing has changed, and no run leaves a mark on it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import jstyle
from jstyle.events import PictureWritten
from jstyle.methods.table import METHODS
from jstyle.methods.text_to_image.settings import TextToImageInputs, TextToImageSettings
from jstyle.pipelines.opening import kept_loaded, open_pipeline
from jstyle.settings.adapted import AdaptedModelSettings


def test_the_last_model_is_kept_inside_alone(tmp_path: Path) -> None:
    tiny = AdaptedModelSettings()
    with kept_loaded():
        first = open_pipeline(tiny)
        assert open_pipeline(tiny) is first
        tiled = open_pipeline(replace(tiny, vae_tiling=True))
        assert tiled is not first and tiled.vae_tiling
        assert open_pipeline(tiny) is not first, "one model is kept, not all"
    assert open_pipeline(tiny) is not open_pipeline(tiny)


def test_files_that_have_changed_are_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(Path(jstyle.__file__).with_name("embedded") / "tiny", folder)
    model = AdaptedModelSettings(model=str(folder))
    with kept_loaded():
        first = open_pipeline(model)
        config = folder / "scheduler" / "scheduler_config.json"
        config.write_text(config.read_text().replace('"beta_start": 0.00085', '"beta_start": 0.001'))
        assert open_pipeline(model) is not first


def test_runs_on_a_kept_model_make_what_they_make_alone(tmp_path: Path) -> None:
    def draw(name: str) -> np.ndarray:
        inputs = TextToImageInputs(("a red apple",), output=tmp_path / name)
        run = METHODS["txt2img"].start(inputs, TextToImageSettings(steps=2), AdaptedModelSettings())
        (path,) = [event.path for event in run if isinstance(event, PictureWritten)]
        return np.asarray(Image.open(path))

    alone = draw("alone")
    with kept_loaded():
        assert (draw("first") == alone).all()
        assert (draw("second") == alone).all()
