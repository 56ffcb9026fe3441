"""The worker's process for real: a picture, previews, an end when it is asked for, death, and the model that stays."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle.diffusion.aims import watched_aim
from jstyle.pictures import images
from jstyle.pipelines.previews import LatentColours
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.reader import plain
from jstyle.web.forms import build_settings
from jstyle.web.process import WorkerProcess
from jstyle.web.works import list_works

WORKS = list_works()
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def process() -> Iterator[WorkerProcess]:
    process = WorkerProcess()
    yield process
    process.close()


def run(process: WorkerProcess, folder: Path, **settings: Any) -> Iterator[Mapping[str, Any]]:
    parts = build_settings(WORKS["txt2img"], {"prompt": ["a house"], **settings}, folder)
    return process.run("txt2img", [plain(part) for part in parts])


def test_a_picture_with_previews_and_an_end_that_is_asked_for(process: WorkerProcess, tmp_path: Path) -> None:
    told = list(run(process, tmp_path / "whole", steps=3))
    assert [line["event"] for line in told if "event" in line][-2:] == ["PictureWritten", "Remark"]
    assert told[-1] == {"end": "done"}
    (picture,) = [Path(line["path"]) for line in told if line.get("event") == "PictureWritten"]
    assert "jstyle" in Image.open(picture).info
    previews = [line["preview"] for line in told if "preview" in line]
    assert previews and Image.open(io.BytesIO(base64.b64decode(previews[0]))).format == "PNG"

    told = []
    for line in run(process, tmp_path / "stopped", steps=900):
        told.append(line)
        if line.get("event") == "Evaluated":
            process.stop()
    assert told[-1] == {"end": "stopped"}
    assert sum(line.get("event") == "Evaluated" for line in told) < 800
    assert not list((tmp_path / "stopped").glob("*.png"))


def test_a_wrong_setting_is_told_and_the_next_request_is_made(process: WorkerProcess, tmp_path: Path) -> None:
    told = list(run(process, tmp_path, steps=2, width=100))
    assert told[-1]["end"] == "failed" and "multiple of" in told[-1]["error"]
    assert list(run(process, tmp_path, steps=2))[-1] == {"end": "done"}


def test_a_killed_worker_ends_its_request_and_another_comes(process: WorkerProcess, tmp_path: Path) -> None:
    told = []
    for line in run(process, tmp_path, steps=900):
        told.append(line)
        if line.get("event") == "Evaluated" and process._process is not None:
            process._process.kill()
    assert "end" not in told[-1]
    assert list(run(process, tmp_path, steps=2))[-1] == {"end": "done"}


def test_previews_have_the_colours_of_what_is_decoded() -> None:
    """The map is linear and the decoder is not, so only what an eye sees from afar is asked for."""
    pipe = StableDiffusionPipeline.from_pretrained("tiny")
    picture = Image.open(ROOT / "samples/content/house_by_the_sea.png").convert("RGB").resize((128, 128))
    latents = pipe.encode_images(jt.array(images.to_array([picture])))
    drawn = LatentColours(pipe).draw(latents.numpy()[0])
    small = np.stack([np.asarray(one.resize((16, 16)), np.float32).reshape(-1) for one in (drawn, picture)])
    assert np.corrcoef(small)[0, 1] > 0.9


def test_every_guided_step_leaves_its_aim() -> None:
    pipe = StableDiffusionPipeline.from_pretrained("tiny")
    with watched_aim() as aim:
        assert aim.latents is None
        latents = pipe("a house", num_inference_steps=2, output_type="latent").images
        assert aim.latents is not None and aim.latents.shape == latents.shape
