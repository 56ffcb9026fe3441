"""Stable Diffusion XL in one file: every weight from where diffusers takes it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jstyle
from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.errors import InputError
from jstyle.networks import CLIPTextModel, CLIPTextModelWithProjection, UNet2DConditionModel
from jstyle.settings.model import ModelSettings
from jstyle.weights.description import describe_checkpoint
from jstyle.weights.single_file.families import XL, choose_schedule
from jstyle.weights.tensors import write_tensors
from tests.golden import sdxl, tiny
from tests.parity.networks import golden

RECORDED = golden("sdxl_single_file")
NAMES: Sequence[str] = RECORDED["names"].tolist()
SHAPES = dict(zip(NAMES, json.loads(str(RECORDED["shapes"]))))
PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")


def write_file(file: Path, names: Sequence[str] = NAMES, **more: np.ndarray) -> Path:
    arrays = {name: np.asarray(tiny.seeded_tensor(name, SHAPES[name])) for name in names}
    write_tensors({**arrays, **more}, file)
    return file


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sdxl.write_base(tmp_path_factory.mktemp("base") / "folder")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_file(tmp_path_factory.mktemp("file") / "model.safetensors", **{"denoiser.sigmas": np.zeros(3)})


def test_every_weight_is_that_which_diffusers_takes(file: Path, base: Path) -> None:
    pipe = jstyle.StableDiffusionXLPipeline.from_single_file(file, config=base)
    found = {f"{part}/{name}": value for part in PARTS for name, value in getattr(pipe, part).named_parameters()}
    sources = dict(zip(RECORDED["parameters"].tolist(), RECORDED["sources"].tolist()))
    assert set(found) == set(sources)
    for name, value in found.items():
        source, part, parts, *turned = sources[name].split()
        array = np.split(tiny.seeded_tensor(source, SHAPES[source]), int(parts))[int(part)]
        wanted = array.T if turned else array
        np.testing.assert_array_equal(value.numpy(), wanted.reshape(value.shape), err_msg=name)
    assert pipe.zeroes_no_negative and pipe.own_sampler == "euler"
    described = describe_checkpoint(ModelSettings(str(file), base_model=str(base)))
    assert (described.model_hash, described.configuration) == (pipe.model_hash, pipe.configuration)


def test_what_the_file_lacks_is_the_base_models(file: Path, base: Path, tmp_path: Path) -> None:
    pipe = jstyle.StableDiffusionXLPipeline.from_single_file(file, config=base)
    pipe.save_pretrained(tmp_path / "whole")
    only = write_file(tmp_path / "unet.safetensors", [name for name in NAMES if name.startswith("model.diff")])
    joined = jstyle.StableDiffusionXLPipeline.from_single_file(only, config=tmp_path / "whole")
    size: dict[str, Any] = {"height": 32, "width": 32, "num_inference_steps": 1, "seed": 1, "output_type": "latent"}
    assert np.array_equal(joined("a river", **size).images, pipe("a river", **size).images)
    with pytest.raises(InputError, match="holds no VAE and no text encoder and no second text encoder: give --base_m"):
        jstyle.StableDiffusionXLPipeline.from_single_file(only)


def test_files_of_other_kinds(base: Path, tmp_path: Path) -> None:
    refiner = write_file(
        tmp_path / "refiner.safetensors", **{"conditioner.embedders.0.model.ln_final.weight": np.ones(3)}
    )
    with pytest.raises(InputError, match="is SDXL's refiner, which is not here"):
        jstyle.StableDiffusionXLPipeline.from_single_file(refiner, config=base)
    short = write_file(tmp_path / "short.safetensors", [name for name in NAMES if "label_emb" not in name])
    with pytest.raises(InputError, match="reads a vector of the text|text_encoder|label_emb|keys"):
        jstyle.StableDiffusionXLPipeline.from_single_file(short, config=base)
    shutil.rmtree(tmp_path)


def test_the_family_is_of_sdxls_size() -> None:
    """The numbers of parameters of the base model's own files."""
    counts = {
        UNet2DConditionModel(XL.unet): 2_567_463_684,
        CLIPTextModel(XL.text_encoder): 123_060_480,
        CLIPTextModelWithProjection(XL.text_encoder_2): 694_659_840,  # type: ignore[arg-type]
    }
    for network, count in counts.items():
        assert network.num_parameters() == count
    assert (XL.vae.scaling_factor, XL.vae.sample_size, XL.unet.sample_size) == (0.13025, 1024, 128)


def test_the_familys_schedule_is_that_of_its_own_folder() -> None:
    file = {
        "_class_name": "EulerDiscreteScheduler",
        "_diffusers_version": "0.19.0.dev0",
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "clip_sample": False,
        "interpolation_type": "linear",
        "num_train_timesteps": 1000,
        "prediction_type": "epsilon",
        "sample_max_value": 1.0,
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 1,
        "timestep_spacing": "leading",
        "trained_betas": None,
        "use_karras_sigmas": False,
    }
    assert choose_schedule(XL, "epsilon") == ScheduleConfig.from_dict(file)
