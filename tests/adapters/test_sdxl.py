"""LoRAs and learnt words on Stable Diffusion XL against what PyTorch diffusers makes with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jstyle
from jstyle.adapters import lora_files, lora_writing
from jstyle.errors import InputError
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.weights.tensors import write_tensors
from tests.golden import sdxl
from tests.parity.networks import GOLDEN, golden, relative_error

RECORDED = golden("sdxl_adapters")
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def loaded() -> StableDiffusionPipeline:
    return jstyle.DiffusionPipeline.from_pretrained(str(GOLDEN / "sdxl_folder"))


@pytest.fixture
def pipe(loaded: StableDiffusionPipeline) -> Iterator[StableDiffusionPipeline]:
    yield loaded
    loaded.unload_lora_weights()
    loaded.unload_textual_inversion()


def make(pipe: StableDiffusionPipeline, prompt: str = "a painting") -> np.ndarray:
    size: dict[str, Any] = {"height": 64, "width": 32, "latents": golden("sdxl")["noise"][:1], "output_type": "latent"}
    return pipe(prompt, negative_prompt="a town", num_inference_steps=3, **size).images


@pytest.mark.parametrize("fashion", ["diffusers", "kohya"])
def test_loras(pipe: StableDiffusionPipeline, fashion: str, tmp_path: Path) -> None:
    before = pipe.model_hash
    write_tensors(sdxl.write_lora(fashion), tmp_path / "lora.safetensors")
    pipe.load_lora_weights(tmp_path)
    assert relative_error(make(pipe), RECORDED[f"{fashion}_latents"]) < TOLERANCE
    assert pipe.model_hash != before
    pipe.fuse_lora()
    assert relative_error(make(pipe), RECORDED[f"{fashion}_latents"]) < TOLERANCE
    pipe.unfuse_lora()
    pipe.unload_lora_weights()
    assert pipe.model_hash == before and relative_error(make(pipe), RECORDED["none_latents"]) < TOLERANCE


def test_each_text_encoder_has_its_weight(pipe: StableDiffusionPipeline) -> None:
    arrays = sdxl.write_lora("diffusers")
    pipe.load_lora_weights(arrays, adapter_name="whole")
    pipe.load_lora_weights(
        {name: array for name, array in arrays.items() if not name.startswith("text_encoder_2.")}, adapter_name="part"
    )
    without = make(pipe)
    pipe.set_adapters("whole", {"text_encoder_2": 0.0})
    assert np.array_equal(make(pipe), without)
    assert pipe.get_list_adapters()["text_encoder_2"] == ["whole"]


@pytest.mark.parametrize("fashion", ["diffusers", "kohya"])
def test_what_is_written_is_read_again(pipe: StableDiffusionPipeline, fashion: Any, tmp_path: Path) -> None:
    pipe.load_lora_weights(sdxl.write_lora("kohya"), adapter_name="a")
    file = lora_writing.write(pipe.loras.loaded["a"], tmp_path, fashion)
    again = lora_files.read(file, pipe.unet, pipe.text_encoder, text_encoder_2=pipe.text_encoder_2)
    for component in ("unet", "text_encoder", "text_encoder_2"):
        assert again.of(component).keys() == pipe.loras.loaded["a"].of(component).keys()
    pipe.load_lora_weights(tmp_path, adapter_name="b")
    assert relative_error(make(pipe), RECORDED["kohya_latents"]) < TOLERANCE


def test_a_lora_of_sdxl_is_none_of_stable_diffusion_2() -> None:
    other = StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))
    with pytest.raises(InputError, match="keys fit no layer of this model"):
        other.load_lora_weights(sdxl.write_lora("kohya"))


def learn_file(pipe: StableDiffusionPipeline, folder: Path) -> None:
    write_tensors(sdxl.write_word(), folder / "word.safetensors")
    pipe.load_textual_inversion(folder / "word.safetensors", token=sdxl.WORD)


def learn_each(pipe: StableDiffusionPipeline, folder: Path) -> None:
    arrays = sdxl.write_word()
    networks = {"clip_l": (pipe.text_encoder, pipe.tokenizer), "clip_g": (pipe.text_encoder_2, pipe.tokenizer_2)}
    for key, (encoder, tokenizer) in networks.items():
        pipe.load_textual_inversion(arrays[key], token=sdxl.WORD, text_encoder=encoder, tokenizer=tokenizer)


def learn_by_width(pipe: StableDiffusionPipeline, folder: Path) -> None:
    for array in sdxl.write_word().values():
        pipe.load_textual_inversion({sdxl.WORD: array})


def learn_bundled(pipe: StableDiffusionPipeline, folder: Path) -> None:
    arrays = {f"bundle_emb.{sdxl.WORD}.{key}": array for key, array in sdxl.write_word().items()}
    write_tensors({**sdxl.write_lora("diffusers"), **arrays}, folder / "lora.safetensors")
    pipe.load_textual_inversion(folder / "lora.safetensors")


@pytest.mark.parametrize("learn", [learn_file, learn_each, learn_by_width, learn_bundled])
def test_words(pipe: StableDiffusionPipeline, learn: Any, tmp_path: Path) -> None:
    before = pipe.model_hash
    learn(pipe, tmp_path)
    assert relative_error(make(pipe, sdxl.ADAPTED["word"]), RECORDED["word_latents"]) < TOLERANCE
    assert pipe.model_hash != before
    pipe.unload_textual_inversion(sdxl.WORD)
    assert pipe.model_hash == before


def test_rows_of_an_array_are_several_words(pipe: StableDiffusionPipeline) -> None:
    arrays = sdxl.write_word()
    pipe.load_textual_inversion(arrays["clip_g"], token=["<one>", "<two>"], text_encoder=pipe.text_encoder_2)
    assert pipe.vocabulary_2 is not None and not pipe.vocabulary.vectors
    np.testing.assert_array_equal(pipe.vocabulary_2.vectors["<two>"].numpy(), arrays["clip_g"][1:])


def test_words_that_cannot_be_learnt(pipe: StableDiffusionPipeline) -> None:
    arrays = sdxl.write_word()
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (arrays, {}, "does not say its word"),
        ({**arrays, "clip_g": np.zeros((1, 16), np.float32)}, {"token": "<a>"}, "has 2 vectors for one text encoder"),
        ({**arrays, "clip_g": np.zeros((2, 9), np.float32)}, {"token": "<a>"}, "were made for another model"),
        (arrays["clip_l"], {}, "vectors alone do not say their word"),
        (arrays["clip_l"], {"token": ["<a>"]}, "not a row for each of 1 tokens"),
        ({"<a>": np.zeros((1, 9), np.float32)}, {}, "were made for another model"),
        (arrays, {"token": "<a>", "text_encoder": object()}, "a pipeline's own tokenizer and text encoder"),
    ]
    for source, options, message in wrong:
        with pytest.raises(InputError, match=message):
            pipe.load_textual_inversion(source, **options)
        assert not any(vocabulary.vectors for vocabulary in pipe.vocabularies)
    with pytest.raises(InputError, match="'<b>' is not loaded"):
        pipe.unload_textual_inversion("<b>")
    other = StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))
    with pytest.raises(InputError, match="has vectors for SDXL's two text encoders; this model has one"):
        other.load_textual_inversion(arrays, token="<a>")
