"""Folders that are written for diffusers: the same twice is once, and nothing else is replaced unasked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jstyle
from jstyle import AutoencoderKL, StableDiffusionPipeline
from jstyle.errors import InputError
from tests.parity.networks import GOLDEN

FOLDER = str(GOLDEN / "diffusers_folder")


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(FOLDER)


def read_all(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_ino) for path in files}


@pytest.mark.parametrize("part", ["pipeline", "vae", "scheduler"])
def test_the_same_again_changes_nothing_and_another_is_asked_for(
    pipe: StableDiffusionPipeline, part: str, tmp_path: Path
) -> None:
    things: dict[str, tuple[Any, Any]] = {
        "pipeline": (pipe, StableDiffusionPipeline.from_pipe(pipe, vae=AutoencoderKL(pipe.vae.config))),
        "vae": (pipe.vae, AutoencoderKL(pipe.vae.config)),
        "scheduler": (jstyle.DDIMScheduler(), jstyle.DDIMScheduler(steps_offset=1)),
    }
    first, other = things[part]
    first.save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "notes.txt").write_text("mine")
    before = read_all(tmp_path / "saved")
    first.save_pretrained(save_directory=str(tmp_path / "saved"), is_main_process=True)
    assert {name: content for name, (content, _) in read_all(tmp_path / "saved").items()} == {
        name: content for name, (content, _) in before.items()
    }
    before = read_all(tmp_path / "saved")
    with pytest.raises(InputError, match="already holds another .*; choose another folder, or replace it with overwri"):
        other.save_pretrained(tmp_path / "saved")
    assert read_all(tmp_path / "saved") == before
    other.save_pretrained(tmp_path / "saved", overwrite=True)
    other.save_pretrained(tmp_path / "fresh")
    fresh = {name: content for name, (content, _) in read_all(tmp_path / "fresh").items()}
    assert {name: content for name, (content, _) in read_all(tmp_path / "saved").items()} == {
        **fresh,
        "notes.txt": b"mine",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fresh", "saved"]


def test_shards_of_other_weights_go_with_them(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    pipe.vae.save_pretrained(tmp_path)
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    shard = weights.with_name("diffusion_pytorch_model-00001-of-00001.safetensors")
    weights.rename(shard)
    index = weights.with_name("diffusion_pytorch_model.safetensors.index.json")
    index.write_text('{"weight_map": {"x": "diffusion_pytorch_model-00001-of-00001.safetensors"}}')
    with pytest.raises(InputError, match="already holds another diffusion_pytorch_model-00001"):
        pipe.vae.save_pretrained(tmp_path)
    pipe.vae.save_pretrained(tmp_path, overwrite=True)
    assert weights.is_file() and not shard.exists() and not index.exists()


def test_variants_lie_beside_each_other(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    pipe.vae.save_pretrained(tmp_path)
    pipe.vae.save_pretrained(tmp_path, variant="fp16")
    found = AutoencoderKL.from_pretrained(tmp_path)
    for (_, wanted), (_, same) in zip(pipe.vae.named_parameters(), found.named_parameters()):
        np.testing.assert_array_equal(wanted.numpy(), same.numpy())


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"varient": "fp16"}, "save_pretrained has no argument 'varient'; did you mean variant?"),
        ({"push_to_hub": True}, "push_to_hub: nothing is sent anywhere"),
        ({"is_main_process": False}, "is_main_process is false, and there is one process"),
        ({"overwrite": "yes"}, "overwrite must be True or False, not 'yes'"),
    ],
)
def test_what_saving_is_told_is_not_swallowed(
    pipe: StableDiffusionPipeline, told: dict[str, Any], said: str, tmp_path: Path
) -> None:
    for one in (pipe, pipe.vae, *([] if "varient" in told else [jstyle.DDIMScheduler()])):
        with pytest.raises(InputError, match=re.escape(said)):
            one.save_pretrained(tmp_path / "saved", **told)
