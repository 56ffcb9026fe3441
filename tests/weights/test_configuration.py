"""What a model is beside its weights: the same for a folder and for what is loaded from it, and all of it counts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from jstyle.errors import InputError
from jstyle.pipelines.cost import CountingPipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.model import ModelSettings
from jstyle.weights.configuration import read_configurations
from jstyle.weights.description import Checkpoint, describe_checkpoint
from jstyle.weights.hub import locate


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(locate("tiny"), tmp_path / "model"))


def change_json(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **changes}), "utf-8")


def describe(model: Path) -> Checkpoint:
    return describe_checkpoint(ModelSettings(str(model)))


@pytest.mark.parametrize("has_vision", [True, False])
def test_a_folder_is_described_as_what_is_loaded_from_it(model: Path, tmp_path: Path, has_vision: bool) -> None:
    if not has_vision:
        shutil.rmtree(model / "image_encoder")
        change_json(model / "model_index.json", image_encoder=[None, None])
    pipe, described = StableDiffusionPipeline.from_pretrained(str(model)), describe(model)
    assert (described.model_hash, described.configuration) == (pipe.model_hash, pipe.configuration)
    pipe.save_pretrained(tmp_path / "saved")
    assert describe(tmp_path / "saved").configuration == pipe.configuration


def test_a_size_that_the_vae_cannot_halve_is_told_without_a_recipe() -> None:
    with pytest.raises(InputError, match="^width and height must be positive multiples of 8, not 65x128$"):
        describe_checkpoint(ModelSettings(), width=65)


def test_the_users_sampler_comes_before_an_unknown_scheduler(model: Path) -> None:
    file = model / "scheduler" / "scheduler_config.json"
    change_json(file, _class_name="SASolverScheduler", use_karras_sigmas=False)
    describe(model)
    pipe = CountingPipeline.of_configurations(read_configurations(model))
    assert pipe.sampler("dpmpp_2m").name == "dpmpp_2m"
    with pytest.raises(InputError, match="SASolverScheduler.*name another sampler") as caught:
        pipe.sampler()
    assert str(caught.value).startswith(f"{file}: ")


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("scheduler/scheduler_config.json", {"_class_name": "EulerDiscreteScheduler"}),
        ("scheduler/scheduler_config.json", {"steps_offset": 0}),
        ("scheduler/scheduler_config.json", {"prediction_type": "epsilon"}),
        ("unet/config.json", {"norm_eps": 1e-4}),
        ("vae/config.json", {"scaling_factor": 0.5}),
        ("text_encoder/config.json", {"layer_norm_eps": 1e-4}),
        ("image_encoder/config.json", {"layer_norm_eps": 1e-4}),
        ("tokenizer/tokenizer_config.json", {"do_lower_case": False}),
    ],
)
def test_another_configuration_of_the_same_weights(model: Path, file: str, change: dict[str, Any]) -> None:
    before = describe(model)
    change_json(model / file, **change)
    assert describe(model).model_hash == before.model_hash
    assert describe(model).configuration != before.configuration


def test_what_a_file_says_of_its_origin_does_not_count(model: Path) -> None:
    before = describe(model)
    change_json(model / "unet" / "config.json", _diffusers_version="9.9", _name_or_path="elsewhere")
    (model / "scheduler" / "scheduler_config.json").touch()
    assert describe(model) == before


def test_another_schedule_on_a_loaded_pipeline(model: Path) -> None:
    """What the pipeline computes with counts, not what it was loaded with."""
    change_json(model / "scheduler" / "scheduler_config.json", steps_offset=0)
    pipe, other = (StableDiffusionPipeline.from_pretrained(name) for name in ("tiny", str(model)))
    assert pipe.configuration != other.configuration
    pipe.schedule = other.schedule
    assert pipe.configuration == other.configuration
