"""LoRA against diffusers and peft; attached, weighted, fused and taken off exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jstyle import StableDiffusionPipeline
from jstyle.adapters import LoraAdapters, lora, lora_files, lora_writing
from jstyle.adapters.lora import Lora
from jstyle.errors import InputError
from jstyle.networks import UNet2DConditionModel
from jstyle.ops.kernels import operator
from jstyle.runtime import jt
from jstyle.weights.loading import load_weights
from jstyle.weights.tensors import ArrayTensors, FileTensors, write_tensors
from tests.golden.adapter_tensors import adapter_tensor
from tests.parity.networks import GOLDEN, build, golden, relative_error

RECORDED = golden("adapters")
SHAPES = json.loads(str(RECORDED["keys"]))
METADATA = json.loads(str(RECORDED["metadata"]))
ARRAYS = {key: adapter_tensor(key, shape) for key, shape in SHAPES.items()}
TOLERANCE = 1e-5
Networks = tuple[Any, Any]


@pytest.fixture(scope="module")
def networks() -> Networks:
    return build("sd2", "unet"), build("sd2", "text")


def theirs(networks: Networks) -> Lora:
    return lora_files.parse(ArrayTensors(ARRAYS), *networks, METADATA)


def outputs(networks: Networks) -> tuple[np.ndarray, np.ndarray]:
    given = {name: jt.array(RECORDED[f"lora_{name}"]) for name in ("sample", "context", "input_ids")}
    with jt.no_grad():
        noise = networks[0](given["sample"], RECORDED["lora_timestep"], given["context"]).sample
        return np.array(noise.numpy()), np.array(networks[1](given["input_ids"].int32())[0].numpy())


def assert_recorded(found: tuple[np.ndarray, np.ndarray], scale: float) -> None:
    assert relative_error(found[0], RECORDED[f"lora_unet_{scale}"]) < TOLERANCE
    assert relative_error(found[1], RECORDED[f"lora_text_{scale}"]) < TOLERANCE


def test_diffusers_files_act_as_in_diffusers(networks: Networks) -> None:
    adapters = LoraAdapters(*networks)
    adapters.load(theirs(networks), "ink")
    assert_recorded(outputs(networks), 1.0)
    adapters.set("ink", 0.3)
    assert_recorded(outputs(networks), 0.3)
    adapters.set(["ink"], [1.0])
    adapters.fuse(["unet", "text_encoder"], 0.3)
    assert_recorded(outputs(networks), 0.3)
    adapters.unload()


def test_two_adapters_add_up(networks: Networks) -> None:
    whole = theirs(networks)
    halves = [Lora(whole.unet, {}), Lora({}, whole.text_encoder)]
    adapters = LoraAdapters(*networks)
    for name, half in zip("ab", halves):
        adapters.load(half, name)
    assert list(adapters.weights) == ["b"]  # the last one loaded, as in diffusers
    assert adapters.by_component() == {"unet": ["a"], "text_encoder": ["b"]}
    adapters.set(["a", "b"], 0.3)
    assert_recorded(outputs(networks), 0.3)
    adapters.delete("a")
    adapters.load(whole, "c")
    adapters.set(["c", "b"], [0.5, 0.5])
    assert relative_error(outputs(networks)[1], RECORDED["lora_text_1.0"]) < TOLERANCE
    adapters.unload()


def test_everything_is_taken_off_to_the_bit(networks: Networks) -> None:
    before = outputs(networks)
    parameters = [{name: id(var) for name, var in net.named_parameters()} for net in networks]
    modules = [{path: id(module) for path, module in net.named_modules()} for net in networks]
    bits = [{name: var.numpy().tobytes() for name, var in net.named_parameters()} for net in networks]
    adapters = LoraAdapters(*networks)
    adapters.load(theirs(networks), "ink")
    beside = outputs(networks)
    # the names and values of the weights are the layer's own: what is saved meanwhile is the model
    assert [{name: id(var) for name, var in net.named_parameters()} for net in networks] == parameters
    adapters.fuse(["unet"])
    assert not np.array_equal(outputs(networks)[0], beside[0])  # other sums, rounded otherwise
    adapters.unfuse()
    assert all(np.array_equal(a, b) for a, b in zip(outputs(networks), beside))
    adapters.enable(False)
    assert all(np.array_equal(a, b) for a, b in zip(outputs(networks), before))
    adapters.enable(True)
    adapters.fuse(["unet", "text_encoder"])
    adapters.unload()
    assert all(np.array_equal(a, b) for a, b in zip(outputs(networks), before))
    assert [{name: id(var) for name, var in net.named_parameters()} for net in networks] == parameters
    assert [{path: id(module) for path, module in net.named_modules()} for net in networks] == modules
    assert [{name: var.numpy().tobytes() for name, var in net.named_parameters()} for net in networks] == bits


def test_the_network_may_be_changed_for_a_while(networks: Networks) -> None:
    before = outputs(networks)
    with pytest.raises(RuntimeError, match="inside"), lora.changed(networks[0], [theirs(networks).unet]):
        raise RuntimeError("inside")
    assert np.array_equal(outputs(networks)[0], before[0])


def kohya() -> dict[str, np.ndarray]:
    named = json.loads(str(RECORDED["kohya_keys"]))
    found = {}
    for key, name in named.items():
        array = ARRAYS[key.replace("text_encoder.text_model.", "text_encoder.")]
        found[name] = array.reshape(*array.shape, 1, 1) if "proj_in" in name else array
        found[name.split(".")[0] + ".alpha"] = np.float32(6.0)
    return found


def test_kohyas_format(networks: Networks) -> None:
    found = lora_files.parse(ArrayTensors(kohya()), *networks)
    assert any("conv1" in path for path in found.unet) and len(found.text_encoder) == 8
    for component in lora_files.COMPONENTS:
        wanted = theirs(networks).of(component)
        assert set(found.of(component)) == set(wanted)
        for path, change in found.of(component).items():
            assert change.alpha == 6 and np.array_equal(change.compute_delta(), wanted[path].compute_delta())


def test_diffusers_older_formats(networks: Networks) -> None:
    mine = {f"unet.{key}": name for key, name in json.loads(str(RECORDED["older_keys"])).items()}
    wanted = theirs(networks)
    text = {
        "text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.down.weight": "0.self_attn.q_proj.lora_A.weight",
        "text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.up.weight": "0.self_attn.q_proj.lora_B.weight",
        "text_encoder.text_model.encoder.layers.1.self_attn.out_proj.lora_linear_layer.down.weight": (
            "1.self_attn.out_proj.lora_A.weight"
        ),
        "text_encoder.text_model.encoder.layers.1.self_attn.out_proj.lora_linear_layer.up.weight": (
            "1.self_attn.out_proj.lora_B.weight"
        ),
    }
    for prefix in ("", "unet."):
        stored = {prefix + name: ARRAYS[key] for key, name in mine.items()}
        stored.update({name: ARRAYS[f"text_encoder.encoder.layers.{key}"] for name, key in text.items()})
        found = lora_files.parse(ArrayTensors(stored), *networks)
        assert len(found.unet) == len(mine) // 2 and len(found.text_encoder) == 2
        for component in lora_files.COMPONENTS:
            for path, change in found.of(component).items():
                delta = wanted.of(component)[path].compute_delta()
                assert change.scale == 1 and np.allclose(2 * change.compute_delta(), delta)


def test_what_is_written_has_diffusers_names(networks: Networks, tmp_path: Path) -> None:
    file = lora_writing.write(theirs(networks), tmp_path)
    assert file.name == "pytorch_lora_weights.safetensors"
    shapes = {key: list(shape) for key, shape in FileTensors([file]).shapes().items()}
    # older versions of transformers want text_model in the path, the newest can do without
    assert shapes == {key.replace("text_encoder.", "text_encoder.text_model."): shape for key, shape in SHAPES.items()}
    again = lora_files.read(tmp_path, *networks)
    for component in lora_files.COMPONENTS:
        for path, change in theirs(networks).of(component).items():
            assert np.allclose(again.of(component)[path].compute_delta(), change.compute_delta(), rtol=1e-6)


def test_what_does_not_fit_is_said(networks: Networks, tmp_path: Path) -> None:
    key = next(name for name in SHAPES if name.endswith("to_q.lora_A.weight"))
    for changes, said in (
        ({key: np.zeros((3, 7), np.float32)}, r"to_q.lora_A.weight and its pair are \[3, 7\]"),
        ({"unet.middle.to_q.lora_A.weight": np.zeros((3, 7), np.float32)}, "1 keys fit no layer .*unet.middle"),
        ({key.replace("lora_A.weight", "vera_lambda_d"): np.zeros(3, np.float32)}, "another kind of adapter"),
    ):
        with pytest.raises(InputError, match=said):
            lora_files.parse(ArrayTensors({**ARRAYS, **changes}), *networks)
    half = {name: array for name, array in ARRAYS.items() if name != key}
    with pytest.raises(InputError, match="attn1.to_q lacks down of LoRA"):
        lora_files.parse(ArrayTensors(half), *networks)
    with pytest.raises(InputError, match="its configuration says DoRA, which .* lacks"):
        lora_files.parse(ArrayTensors(ARRAYS), *networks, {**METADATA, "unet.use_dora": True})
    with pytest.raises(InputError, match="there is no file"):
        lora_files.read(tmp_path, *networks)


def test_adapters_are_named_and_counted(networks: Networks) -> None:
    adapters = LoraAdapters(*networks)
    adapters.load(theirs(networks), "ink")
    for wrong, said in (
        (lambda: adapters.load(theirs(networks), "ink"), "'ink' is loaded already"),
        (lambda: adapters.set("pond"), "no adapter 'pond' is loaded; loaded are ink"),
        (lambda: adapters.set(5), "no adapter 5 is loaded; loaded are ink"),
        (lambda: adapters.set(["ink", "ink"], [1.0, 2.0]), "the adapter 'ink' is named twice"),
        (lambda: adapters.set("ink", [1.0, 2.0]), "2 weights for 1 adapters"),
        (lambda: adapters.fuse(["vae"]), "components may be unet, text_encoder, not 'vae'"),
        (adapters.unfuse, "no adapter is fused"),
    ):
        with pytest.raises(InputError, match=said):
            wrong()
    adapters.fuse(["unet"])
    with pytest.raises(InputError, match=r"call unfuse_lora\(\) to choose other adapters"):
        adapters.set("ink")
    adapters.unload()


def test_a_pipeline_takes_them_up(tmp_path: Path) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))
    rng = np.random.default_rng(0)
    stored = {}
    for path, layer in lora.layers(pipe.unet, lora.ATTENTION).items():
        out, inputs = layer.weight.shape
        stored[f"unet.{path}.lora_A.weight"] = rng.standard_normal((2, inputs), np.float32)
        stored[f"unet.{path}.lora_B.weight"] = rng.standard_normal((out, 2), np.float32)
    write_tensors(stored, tmp_path / "ink.safetensors")

    def make() -> np.ndarray:
        return pipe("a river", 32, 32, num_inference_steps=2, output_type="latent", seed=1).images

    before, fingerprint = make(), pipe.model_hash
    pipe.load_lora_weights(tmp_path, "ink", weight_name="ink.safetensors")
    pipe.set_adapters("ink", 0.5)
    changed, hashed = make(), pipe.model_hash
    assert relative_error(changed, before) > 0.01 and hashed != fingerprint
    assert pipe.get_active_adapters() == ["ink"] and pipe.get_list_adapters()["unet"] == ["ink"]
    pipe.fuse_lora()
    assert relative_error(make(), changed) < 1e-4 and pipe.model_hash == hashed
    pipe.save_pretrained(tmp_path / "fused")
    fused = StableDiffusionPipeline.from_pretrained(str(tmp_path / "fused"))
    latents = fused("a river", 32, 32, num_inference_steps=2, output_type="latent", seed=1).images
    assert np.array_equal(latents, make())
    pipe.unfuse_lora()
    assert np.array_equal(make(), changed)
    pipe.disable_lora()
    assert np.array_equal(make(), before) and pipe.model_hash == fingerprint and pipe.get_active_adapters() == []
    pipe.enable_lora()
    pipe.delete_adapters("ink")
    assert np.array_equal(make(), before)
    pipe.unload_lora_weights()


@pytest.mark.skipif(operator.unavailable() is not None, reason="bf16 needs the fused kernels")
def test_a_low_precision_network_takes_them(networks: Networks) -> None:
    config = networks[0].config
    unet = UNet2DConditionModel(config)
    stored = {name: var.numpy() for name, var in networks[0].named_parameters()}
    load_weights(unet, ArrayTensors(stored), "unet", dtype="bfloat16")
    adapters = LoraAdapters(unet, networks[1])
    adapters.load(theirs(networks), "ink")
    adapters.set("ink", 0.3)
    assert relative_error(outputs((unet, networks[1]))[0], RECORDED["lora_unet_0.3"]) < 0.1
    adapters.fuse(["unet"])
    assert relative_error(outputs((unet, networks[1]))[0], RECORDED["lora_unet_0.3"]) < 0.1
    adapters.unload()
