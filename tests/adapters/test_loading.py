"""A pipeline takes up adapters and words by diffusers' methods and options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jstyle import StableDiffusionPipeline
from jstyle.adapters import lora
from jstyle.errors import InputError
from jstyle.runtime import jt
from jstyle.weights.tensors import write_tensors
from tests.parity.networks import GOLDEN


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))


def make_arrays(pipe: Any, seed: int = 0) -> dict[str, np.ndarray]:
    rng, arrays = np.random.default_rng(seed), {}
    for path, layer in list(lora.layers(pipe.unet, lora.ATTENTION).items())[:4]:
        out, inputs = layer.weight.shape
        arrays[f"unet.{path}.lora_A.weight"] = rng.standard_normal((2, inputs), np.float32)
        arrays[f"unet.{path}.lora_B.weight"] = rng.standard_normal((out, 2), np.float32)
    return arrays


def make(pipe: Any) -> np.ndarray:
    return pipe("a river", 32, 32, num_inference_steps=1, output_type="latent", seed=1).images


def test_files_folders_and_arrays_are_the_same(pipe: Any, tmp_path: Path) -> None:
    arrays, hashes = make_arrays(pipe), []
    (tmp_path / "sub").mkdir()
    write_tensors(arrays, tmp_path / "sub" / "ink.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2}
    (tmp_path / "peft").mkdir()
    (tmp_path / "peft" / "adapter_config.json").write_text(json.dumps(config))
    renamed = {key.replace("unet.", "base_model.model."): array for key, array in arrays.items()}
    write_tensors(renamed, tmp_path / "peft" / "adapter_model.safetensors")
    state, alphas = pipe.lora_state_dict(tmp_path, subfolder="sub")
    assert alphas == {} and set(state) == set(arrays)
    for source, options in (
        (tmp_path / "sub" / "ink.safetensors", {}),
        (tmp_path, {"subfolder": "sub"}),
        (str(tmp_path / "sub"), {"weight_name": "ink.safetensors", "use_safetensors": True}),
        (tmp_path / "peft", {}),
        (arrays, {}),
        (state, {}),
        ({key: jt.array(array) for key, array in arrays.items()}, {}),
    ):
        pipe.load_lora_weights(source, adapter_name="ink", **options)
        hashes.append(pipe.model_hash)
        pipe.unload_lora_weights()
    assert len(set(hashes)) == 1 and hashes[0] != pipe.model_hash
    with pytest.raises(InputError, match="loading has no argument 'weight_nam'; did you mean weight_name"):
        pipe.load_lora_weights(tmp_path, weight_nam="ink.safetensors")
    with pytest.raises(InputError, match="'a' is no array by its name"):
        pipe.load_lora_weights({"a": None})


def test_one_takes_anothers_place_and_components_are_unfused_apart(pipe: Any) -> None:
    before = make(pipe)
    pipe.load_lora_weights(make_arrays(pipe), "a")
    pipe.set_adapters("a", 0.5)
    first = make(pipe)
    pipe.load_lora_weights(make_arrays(pipe, 1), "a", hotswap=True)
    assert not np.array_equal(make(pipe), first) and pipe.loras.weights["a"].unet == 0.5
    pipe.load_lora_weights(make_arrays(pipe), "a", hotswap=True)
    assert np.array_equal(make(pipe), first)
    pipe.fuse_lora(["unet", "text_encoder"], 1.0, safe_fusing=True, adapter_names=["a"])
    assert pipe.num_fused_loras == 1 and pipe.fused_loras == {"a"}
    pipe.unfuse_lora(["unet"])
    assert pipe.num_fused_loras == 1 and np.array_equal(make(pipe), first)
    pipe.unfuse_lora(components=["text_encoder"])
    assert pipe.num_fused_loras == 0
    pipe.set_lora_device("a", "cpu")
    with pytest.raises(InputError, match="no adapter 'b' is loaded"):
        pipe.load_lora_weights(make_arrays(pipe), "b", hotswap=True)
    pipe.unload_lora_weights()
    assert np.array_equal(make(pipe), before)


def test_a_scale_for_a_while(pipe: Any) -> None:
    pipe.load_lora_weights(make_arrays(pipe), "a")
    pipe.set_adapters("a", 0.25)
    weak, known = make(pipe), pipe.model_hash
    pipe.set_adapters("a", 0.5)
    usual, hashed = make(pipe), pipe.model_hash
    with pytest.raises(RuntimeError, match="inside"), pipe.loras.scaled(0.5):
        assert np.array_equal(make(pipe), weak) and pipe.model_hash == known
        raise RuntimeError("inside")
    assert np.array_equal(make(pipe), usual) and pipe.model_hash == hashed
    pipe.fuse_lora()
    fused = make(pipe)
    with pipe.loras.scaled(0.5):
        assert np.array_equal(make(pipe), fused)
    with (
        pytest.raises(InputError, match="the scale of the adapters must be a finite number, not nan"),
        pipe.loras.scaled(float("nan")),
    ):
        pass
    hashed = pipe.model_hash
    pipe.unload_lora_weights()  # as diffusers' page has it before a model is saved
    assert np.array_equal(make(pipe), fused) and pipe.model_hash == hashed and pipe.num_fused_loras == 1
    pipe.unfuse_lora()
    pipe.unload_lora_weights()
    assert not np.array_equal(make(pipe), fused) and not pipe.loras.loaded


def test_one_is_loaded_on_top_of_what_was_fused_and_unloaded(pipe: Any, tmp_path: Path) -> None:
    first, second = make_arrays(pipe), make_arrays(pipe, 1)
    pipe.load_lora_weights(second)
    alone = make(pipe)
    pipe.unload_lora_weights()
    pipe.load_lora_weights(first)
    pipe.fuse_lora(lora_scale=0.5)
    with pytest.raises(InputError, match=r"to load another adapter, or unload_lora_weights\(\), which leaves them"):
        pipe.load_lora_weights(second)
    pipe.unload_lora_weights()
    pipe.save_pretrained(tmp_path / "fused")
    pipe.load_lora_weights(second)
    both, hashed = make(pipe), pipe.model_hash
    saved = StableDiffusionPipeline.from_pretrained(str(tmp_path / "fused"))
    saved.load_lora_weights(second)
    assert np.array_equal(both, make(saved))
    assert pipe.loras.describe() == {"lora": {"default_0": 0.5, "default_0'": 1.0}, "fused": ["unet", "text_encoder"]}
    with pytest.raises(InputError, match="take adapters and words off"):
        pipe.register_modules(unet=saved.unet)
    pipe.fuse_lora()
    assert pipe.model_hash == hashed
    pipe.unfuse_lora()
    pipe.unfuse_lora("unet")
    pipe.unfuse_lora()
    assert np.array_equal(make(pipe), alone) and pipe.num_fused_loras == 0
    pipe.unload_lora_weights()


def test_words_from_folders_and_arrays(pipe: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ink, pond = (rng.standard_normal((count, 16), np.float32) for count in (1, 2))
    write_tensors({"<ink>": ink}, tmp_path / "ink.safetensors")
    write_tensors({"<pond>": pond}, tmp_path / "pond.safetensors")
    pipe.load_textual_inversion(
        [tmp_path / "ink.safetensors", {"emb_params": pond}, {"string_to_param": {"*": pond}, "name": "<lake>"}],
        token=["<ink>", "<pond>", None],
    )
    try:
        assert list(pipe.vocabulary.vectors) == ["<ink>", "<pond>", "<lake>"]
        assert np.array_equal(pipe.vocabulary.vectors["<lake>"].numpy(), pond)
        with pytest.raises(InputError, match="their own|own tokenizer and text encoder"):
            pipe.unload_textual_inversion("<ink>", text_encoder=object())
        pipe.unload_textual_inversion("<ink>", text_encoder=pipe.text_encoder)
    finally:
        pipe.unload_textual_inversion()
    pipe.load_textual_inversion(str(tmp_path), weight_name="pond.safetensors", tokenizer=pipe.tokenizer)
    assert list(pipe.vocabulary.vectors) == ["<pond>"]
    pipe.unload_textual_inversion()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda pipe: pipe.load_lora_weights({}, adapter_name=5), "adapter_name must be a name, not 5"),
        (lambda pipe: pipe.load_lora_weights({}, adapter_name=""), "adapter_name must be a name, not ''"),
        (lambda pipe: pipe.load_lora_weights({}, hotswap=True), "hotswap needs adapter_name"),
        (lambda pipe: pipe.load_lora_weights({}, hotswap="no"), "hotswap must be True or False, not 'no'"),
        (lambda pipe: pipe.load_lora_weights({}, adaptor_name="a"), "'adaptor_name'; did you mean adapter_name?"),
        (lambda pipe: pipe.load_textual_inversion({}, tokn="a"), "'tokn'; did you mean token?"),
        (lambda pipe: pipe.set_adapters("a", 1e38), "the weight of an adapter must be from -10000 to 10000, not 1e+38"),
        (lambda pipe: pipe.fuse_lora(lora_scale=1e38), "lora_scale must be from -10000 to 10000, not 1e+38"),
        (lambda pipe: pipe.fuse_lora(safe_fusing="no"), "safe_fusing must be True or False, not 'no'"),
        (lambda pipe: pipe.fuse_lora(["vae"]), "components may be unet, text_encoder, not 'vae'"),
        (lambda pipe: pipe.encode_prompt("a", lora_scale=1e38), "the scale of the adapters must be from -10000 to"),
        (lambda pipe: pipe.encode_prompt("a", num_images_per_prompt=0), "num_images_per_prompt must be a whole number"),
    ],
)
def test_a_wrong_argument_is_one_line_that_names_it(pipe: Any, call: Any, said: str) -> None:
    pipe.unload_lora_weights()
    pipe.load_lora_weights(make_arrays(pipe), "a")
    with pytest.raises(InputError) as refused:
        call(pipe)
    assert said in str(refused.value) and "\n" not in str(refused.value)
    pipe.fuse_lora("unet")
    with pytest.raises(InputError, match="components may be unet, text_encoder, not 'vae'"):
        pipe.unfuse_lora(["vae"])
    pipe.unfuse_lora()
    pipe.unload_lora_weights()
