"""A finish with a ControlNet, whose map is made of the picture: known by its net, which must still be the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle.competition.dataset import Dataset
from jstyle.competition.making import PictureMaker, take_picture
from jstyle.competition.spec import read_spec
from jstyle.competition.tasks import PictureTask
from jstyle.errors import InputError
from jstyle.networks import ControlNetModel
from jstyle.networks.config import ControlNetConfig
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.identity import digest
from tests.competition.test_recipe import plan
from tests.golden import tiny
from tests.parity.networks import GOLDEN, seeded


@pytest.fixture
def net(tmp_path: Path) -> Path:
    config = ControlNetConfig.from_dict(tiny.controlnet_config(tiny.FOLDER["unet"]))
    seeded(ControlNetModel, config).save_pretrained(tmp_path / "net")
    return tmp_path / "net"


def plan_one(dataset: Dataset, folder: Path, **settings: Any) -> PictureTask:
    finish = json.dumps({"method": "styleid", "settings": {"steps": 3, **settings}})
    text = f"picture: {{steps: 2, guidance: 1, sampler: ddim, finish: {finish}}}"
    return plan(dataset, text, folder)["02/Lion.png"]


def test_a_net_steers_and_is_a_part_of_what_the_picture_is(dataset: Dataset, net: Path, tmp_path: Path) -> None:
    steered = {"controlnet": [str(net)], "preprocess": ["tile"]}
    plain, task = plan_one(dataset, tmp_path), plan_one(dataset, tmp_path, **steered)
    half = plan_one(dataset, tmp_path, **steered, control_end=[0.5])
    assert len({digest(one.spec) for one in (plain, task, half)}) == 3
    assert read_spec(json.loads(json.dumps(task.to_task().data))["spec"]) == task.spec
    maker = PictureMaker(StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder")))
    made: list[Image.Image] = [take_picture(maker.make(one.spec, one.files)) for one in (plain, task)]
    assert np.abs(np.asarray(made[0], int) - np.asarray(made[1], int)).max() > 3
    config = json.loads((net / "config.json").read_text())
    (net / "config.json").write_text(json.dumps({**config, "norm_eps": 1e-4}))
    assert digest(plan_one(dataset, tmp_path, **steered).spec) != digest(task.spec)
    with pytest.raises(InputError, match="a ControlNet is another than when this was planned; run the command again"):
        take_picture(maker.make(replace(task.spec, seed=1), task.files))
