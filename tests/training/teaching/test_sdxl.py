"""Stable Diffusion XL is taught as the others are: a word in both text encoders, a LoRA, whole networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jstyle
from jstyle.errors import InputError
from jstyle.methods.inst.settings import InstTrainSettings
from jstyle.settings.reader import build
from jstyle.training import LoopSettings
from jstyle.weights.tensors import FileTensors
from tests.parity.networks import GOLDEN
from tests.training.teaching.small import pictures, run

MODEL = str(GOLDEN / "sdxl_folder")
SHORT: dict[str, Any] = {"model": MODEL, "loop": LoopSettings(steps=2, rate=1e-2)}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("data"))


def draw(pipe: Any, prompt: str = "a <style> river") -> np.ndarray:
    return pipe(prompt, height=32, width=32, num_inference_steps=2, seed=1, output_type="latent").images


def test_a_word_has_vectors_for_both_text_encoders(data: Path, tmp_path: Path) -> None:
    file = run("textual_inversion", data, tmp_path, **SHORT)
    stored = FileTensors([file])
    assert stored.shapes() == {"clip_l": (2, 24), "clip_g": (2, 16)}
    pipe = jstyle.DiffusionPipeline.from_pretrained(MODEL)
    before = draw(pipe)
    pipe.load_textual_inversion(file)  # its metadata say the word
    assert [list(vocabulary.vectors) for vocabulary in pipe.vocabularies] == [["<style>"]] * 2
    start = pipe.text_encoder.text_model.embeddings.token_embedding.weight.numpy()
    assert not np.isin(stored.read("clip_l"), start).any()  # both have moved from the initial word's
    assert not np.allclose(draw(pipe), before)


@pytest.mark.parametrize("fashion", ["diffusers", "kohya"])
def test_a_lora_of_all_three_networks(data: Path, tmp_path: Path, fashion: str) -> None:
    file = run("lora", data, tmp_path, **SHORT, dropout=0.0, format=fashion)
    keys = FileTensors([file]).shapes()
    prefixes = (
        ("unet.", "text_encoder.", "text_encoder_2.")
        if fashion == "diffusers"
        else ("lora_unet_", "lora_te1_", "lora_te2_")
    )
    assert all(any(key.startswith(prefix) for key in keys) for prefix in prefixes)
    assert all(key.startswith(prefixes) for key in keys)
    pipe = jstyle.DiffusionPipeline.from_pretrained(MODEL)
    before = draw(pipe)
    pipe.load_lora_weights(file)
    assert not np.allclose(draw(pipe), before)
    if fashion == "kohya":
        assert FileTensors([file]).metadata["ss_base_model_version"] == "sdxl_base_v1-0"


def test_the_whole_model(data: Path, tmp_path: Path) -> None:
    folder = run("fine_tuning", data, tmp_path, **SHORT, recompute=True)
    taught, before = (jstyle.StableDiffusionXLPipeline.from_pretrained(str(place)) for place in (folder, MODEL))
    for part in ("unet", "text_encoder", "text_encoder_2"):
        pairs = zip(getattr(taught, part).parameters(), getattr(before, part).parameters())
        assert any(not np.array_equal(one.numpy(), other.numpy()) for one, other in pairs), part


def test_inst_has_one_text_encoder(data: Path, tmp_path: Path) -> None:
    values = {"data": (data / "wheat_field.png",), "output": tmp_path, "model": MODEL}
    with pytest.raises(InputError, match="InST makes a word's vectors for one text encoder, and SDXL has two"):
        jstyle.train(build(InstTrainSettings, values))
