"""Adapters of every kind against the packages that make them; and taken off to the bit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from jstyle.adapters import Lora, LoraAdapters, lora, lora_files, textual_inversion
from jstyle.adapters.changes import Change, Weights, change_weights
from jstyle.adapters.decomposed import Decomposed, Rescaled
from jstyle.adapters.deltas import Delta
from jstyle.adapters.rotations import Rotated, Turn, turn_by_cayley
from jstyle.errors import InputError, InputWarning
from jstyle.networks.layers import GroupNorm
from jstyle.runtime import jt
from jstyle.weights.tensors import ArrayTensors
from tests.golden.adapter_tensors import kind_tensor
from tests.parity.networks import build, golden, relative_error

RECORDED = golden("adapter_kinds")
CASES = json.loads(str(RECORDED["cases"]))
TOLERANCE = 1e-5
Networks = tuple[Any, Any]
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def networks() -> Networks:
    return build("sd1", "unet"), build("sd1", "text")


def recorded_arrays(case: str) -> Arrays:
    keys, numbers = (json.loads(str(RECORDED[f"{case}_{name}"])) for name in ("keys", "numbers"))
    arrays = {key: kind_tensor(key, shape) for key, shape in keys.items()}
    return {**arrays, **{key: np.asarray(value) for key, value in numbers.items()}}


def read(case: str, networks: Networks) -> Lora[Change]:
    config = json.loads(str(RECORDED[f"{case}_config"]) or "{}")
    return lora_files.parse(ArrayTensors(recorded_arrays(case)), *networks, config)


def compute_unet(networks: Networks) -> np.ndarray:
    given = {name: jt.array(RECORDED[name]) for name in ("sample", "context")}
    with jt.no_grad():
        return np.array(networks[0](given["sample"], RECORDED["timestep"], given["context"]).sample.numpy())


def compute_text(networks: Networks) -> np.ndarray:
    with jt.no_grad():
        return np.array(networks[1](jt.array(RECORDED["input_ids"].astype(np.int32))).last_hidden_state.numpy())


@pytest.mark.parametrize("case", CASES)
def test_a_kind_acts_as_in_its_package(networks: Networks, case: str) -> None:
    adapters = LoraAdapters(*networks)
    adapters.load(read(case, networks), "a")
    try:
        assert relative_error(compute_unet(networks), RECORDED[f"{case}_unet"]) < TOLERANCE
        if f"{case}_text" in RECORDED:
            assert relative_error(compute_text(networks), RECORDED[f"{case}_text"]) < TOLERANCE
        if f"{case}_half_unet" in RECORDED:
            adapters.set("a", 0.5)
            assert relative_error(compute_unet(networks), RECORDED[f"{case}_half_unet"]) < TOLERANCE
    finally:
        adapters.unload()


@pytest.mark.parametrize("case", ["loha", "lokr_tucker", "norms", "boft", "ia3", "peft_ia3", "dora_inputs", "full"])
def test_a_kind_is_fused_and_taken_off_to_the_bit(networks: Networks, case: str) -> None:
    before, parameters = compute_unet(networks), list_parameters(networks)
    adapters = LoraAdapters(*networks)
    adapters.load(read(case, networks), "a")
    try:
        beside = compute_unet(networks)
        assert list_parameters(networks) == parameters  # what is saved meanwhile is the model
        hashed = adapters.fingerprint()
        adapters.fuse(["unet", "text_encoder"])
        fused = compute_unet(networks)
        assert np.array_equal(fused, beside) or (case == "norms" and relative_error(fused, beside) < TOLERANCE)
        assert adapters.fingerprint() == hashed
        assert list_parameters(networks) != parameters
        adapters.unfuse()
        assert np.array_equal(compute_unet(networks), beside)
        with adapters.scaled(0.25):
            scaled, others = compute_unet(networks), adapters.fingerprint()
        assert np.array_equal(compute_unet(networks), beside) and adapters.fingerprint() == hashed != others
        adapters.set("a", 0.25)
        assert np.array_equal(compute_unet(networks), scaled) and adapters.fingerprint() == others
        adapters.enable(False)
        assert np.array_equal(compute_unet(networks), before)
    finally:
        adapters.unload()
    assert np.array_equal(compute_unet(networks), before) and list_parameters(networks) == parameters


def list_parameters(networks: Networks) -> list:
    return [(name, id(var)) for network in networks for name, var in network.named_parameters()]


def test_kinds_act_together(networks: Networks) -> None:
    """Sums in any order, and a rescaling on what the others left."""
    adapters = LoraAdapters(*networks)
    outs, hashes = [], []
    for order in (["locon", "loha", "ia3"], ["loha", "locon", "ia3"], ["ia3", "loha", "locon"]):
        for case in order:
            adapters.load(read(case, networks), case)
        adapters.set(order, [{"locon": 0.4, "loha": 0.5, "ia3": 0.6}[case] for case in order])
        outs.append(compute_unet(networks))
        hashes.append(adapters.fingerprint())
        adapters.unload()
    assert relative_error(outs[0], outs[1]) < 1e-5 < 1e-2 < relative_error(outs[0], outs[2])
    assert len(set(hashes)) == 3
    layer = networks[0].mid_block.attentions[0].proj_out
    path = "mid_block.attentions.0.proj_out"
    original = Weights(*(np.array(var.numpy()).astype(np.float64) for var in (layer.weight, layer.bias)))
    changes = [read(case, networks).unet[path].strengthen(0.5) for case in ("locon", "loha", "ia3")]
    found = change_weights(original, changes)
    summed = original.weight + changes[0].compute_delta() + changes[1].compute_delta()  # type: ignore[attr-defined]
    factors = 1 + 0.5 * kind_tensor("lora_unet_mid_block_attentions_0_proj_out.weight", (1, 64, 1, 1)).reshape(-1)
    assert np.allclose(found.weight, summed * factors[:, None, None, None], rtol=1e-5, atol=1e-6)
    assert found.bias is original.bias


def test_two_doras_act_as_in_peft() -> None:
    """Each with the norm of the layer's own weight and its own change; what came before is turned along."""
    rng = np.random.default_rng(0)
    weight, first, second = (rng.standard_normal((6, 5)) for _ in range(3))
    lengths = rng.uniform(1, 2, (2, 6))
    changes = [
        Decomposed(Delta("whole", {"diff": np.float32(delta)}, (6, 5), 1.0), np.float32(m), 0)
        for delta, m in zip((first, second), lengths)
    ]
    now = weight
    for delta, m in zip((first, second), lengths):
        now = (m / np.linalg.norm(weight + delta, axis=1))[:, None] * (now + delta)
    assert np.allclose(change_weights(Weights(weight, None), changes).weight, now, rtol=1e-5)


def test_weights_by_block_reach_every_kind(networks: Networks) -> None:
    adapters = LoraAdapters(*networks)
    adapters.load(read("ia3", networks), "a")
    adapters.set("a", {"unet": {"down": {"block_1": 0.25}}, "text_encoder": 0.5})
    try:
        layer = networks[0].down_blocks[1].attentions[0].proj_in
        weight = kind_tensor("lora_unet_down_blocks_1_attentions_0_proj_in.weight", (1, 32, 1, 1)).reshape(-1, 1, 1, 1)
        wanted = layer.weight.numpy() * (1 + 0.25 * weight)
        assert np.allclose(layer._instead[0].weight.numpy(), wanted, rtol=1e-6)
    finally:
        adapters.unload()


def test_a_bias_that_a_layer_has_no_place_for_is_not_fused(networks: Networks) -> None:
    adapters = LoraAdapters(*networks)
    adapters.load(read("peft_bias", networks), "a")
    try:
        beside = compute_unet(networks)
        with pytest.raises(InputError, match="gives .*attn1.to_q a bias, which this layer has no place for"):
            adapters.fuse(["unet"])
        assert np.array_equal(compute_unet(networks), beside)
    finally:
        adapters.unload()


def test_changed_norms_are_seen_by_norms_in_their_place(networks: Networks) -> None:
    adapters, norm = LoraAdapters(*networks), networks[0].conv_norm_out
    adapters.load(read("norms", networks), "a")
    try:
        changed = networks[0].conv_norm_out
        assert isinstance(changed, GroupNorm) and changed.weight is norm.weight
        factor, offset = (np.array(var.numpy()) for var in changed.affine())
        name = "lora_unet_conv_norm_out"
        if f"{name}.w_norm" in recorded_arrays("norms"):
            assert np.allclose(factor, norm.weight.numpy() + kind_tensor(f"{name}.w_norm", factor.shape))
            assert np.allclose(offset, norm.bias.numpy() + kind_tensor(f"{name}.b_norm", offset.shape))
    finally:
        adapters.unload()


def rename(arrays: Arrays, new: Any) -> Arrays:
    return {new(key): array for key, array in arrays.items()}


def assert_same(networks: Networks, arrays: Arrays, case: str, components: tuple[str, ...] = ("unet",)) -> None:
    found, wanted = lora_files.parse(ArrayTensors(arrays), *networks), read(case, networks)
    for component in components:
        assert set(found.of(component)) == set(wanted.of(component))
        for path, change in found.of(component).items():
            assert b"".join(change.describe()) == b"".join(wanted.of(component)[path].describe())


def test_lycoris_own_names(networks: Networks) -> None:
    """Where LyCORIS was put around a network by itself, and OneTrainer's, with the network's name and dots."""
    arrays = {key: array for key, array in recorded_arrays("loha").items() if key.startswith("lora_unet")}
    assert_same(networks, rename(arrays, lambda key: key.replace("lora_unet_", "lycoris_")), "loha")
    dotted = rename(recorded_arrays("peft_ia3"), lambda key: key.replace("base_model.model.", "lora_unet."))
    assert len(lora_files.parse(ArrayTensors(dotted), *networks).unet) == len(dotted)
    named = rename(recorded_arrays("peft_loha"), lambda key: f"{key}.default")
    config = json.loads(str(RECORDED["peft_loha_config"]))
    assert len(lora_files.parse(ArrayTensors(named), *networks, config).unet) == len(read("peft_loha", networks).unet)


def test_glora_of_older_versions(networks: Networks) -> None:
    """All four matrices the other way round: W (A2 A1) + B2 B1."""
    older = {"a1": "a2", "a2": "a1", "b1": "b2", "b2": "b1"}
    arrays = {
        key.replace(part, older[part]) if (part := key.split(".")[-2]) in older else key: array
        for key, array in recorded_arrays("glora").items()
    }
    assert_same(networks, arrays, "glora", ("unet", "text_encoder"))


def test_onetrainers_oft_needs_no_configuration(networks: Networks) -> None:
    arrays = rename(
        recorded_arrays("peft_oft"),
        lambda key: "lora_unet_" + key[17:].replace(".oft_R.weight", "").replace(".", "_") + ".oft_R.weight",
    )
    assert_same(networks, arrays, "peft_oft")
    name = "lora_unet_mid_block_resnets_0_conv1"
    vectors, size = np.float32(0.02) * kind_tensor("onetrainer", (72, 28)), 8
    scaled = {f"{name}.oft_R.weight": vectors * np.float32(2 * 7**0.5), f"{name}.oft_R.scaled_oft": np.array(True)}
    change = lora_files.parse(ArrayTensors(scaled), *networks).unet["mid_block.resnets.0.conv1"]
    skew = np.zeros((72, size, size))
    skew[:, np.triu_indices(size, 1)[0], np.triu_indices(size, 1)[1]] = vectors
    turns = turn_by_cayley(skew - skew.swapaxes(1, 2))  # what the series comes near to
    weight = np.array(networks[0].mid_block.resnets[0].conv1.weight.numpy())
    wanted = np.einsum("ork,rkc->orc", weight.reshape(64, 72, size), turns).reshape(weight.shape)
    assert np.allclose(change.change(Weights(weight, None), Weights(weight, None)).weight, wanted, atol=1e-5)


def test_half_a_turn_and_no_turn() -> None:
    rng = np.random.default_rng(0)
    skew = rng.standard_normal((2, 3, 3))
    turn = Turn(turn_by_cayley(skew - skew.swapaxes(1, 2)))
    assert np.allclose(turn.matrices @ turn.matrices.swapaxes(1, 2), np.eye(3), atol=1e-6)
    weights = Weights(np.float32(rng.standard_normal((6, 4))), None)
    whole = Rotated((turn,), 0, excess=np.full(6, 0.5, np.float32))
    assert np.allclose(whole.strengthen(0.0).change(weights, weights).weight, weights.weight, atol=1e-6)
    assert np.allclose(np.linalg.norm(whole.change(weights, weights).weight), 1.5 * np.linalg.norm(weights.weight))
    inputs = Rescaled(np.full(4, 1.0, np.float32), 1, with_bias=False, strength=0.5)
    assert np.allclose(inputs.change(weights, weights).weight, 1.5 * weights.weight)


def test_differences_of_biases(networks: Networks) -> None:
    path, name = "mid_block.attentions.0.proj_in", "lora_unet_mid_block_attentions_0_proj_in"
    bias = {f"{name}.diff_b": np.float32(np.arange(64))}
    pair = {f"{name}.lora_down.weight": np.ones((2, 64)), f"{name}.lora_up.weight": np.ones((64, 2))}
    for arrays, delta in ((bias, 0), ({**bias, **pair}, 2)):
        change = lora_files.parse(ArrayTensors(arrays), *networks).unet[path].strengthen(0.5)
        found = change_weights(Weights(np.zeros((64, 64, 1, 1)), np.ones(64)), [change])
        assert np.allclose(found.weight, delta / 2) and np.allclose(found.bias, 1 + np.arange(64) / 2)


def test_names_of_the_original_code(networks: Networks) -> None:
    """As ComfyUI and some trainers write them: CompVis/stable-diffusion, ldm/modules, the blocks numbered through."""
    block = "transformer_blocks.0.attn2.to_k"
    pairs = {
        f"down_blocks.0.attentions.1.{block}": f"input_blocks.2.1.{block}",
        "down_blocks.2.resnets.0.conv_shortcut": "input_blocks.7.0.skip_connection",
        "down_blocks.2.downsamplers.0.conv": "input_blocks.9.0.op",
        "mid_block.resnets.1.conv1": "middle_block.2.in_layers.2",
        "mid_block.attentions.0.proj_in": "middle_block.1.proj_in",
        "up_blocks.1.attentions.2.proj_out": "output_blocks.5.1.proj_out",
        "up_blocks.1.upsamplers.0.conv": "output_blocks.5.2.conv",
        "up_blocks.3.resnets.2.time_emb_proj": "output_blocks.11.0.emb_layers.1",
        "conv_in": "input_blocks.0.0",
        "time_embedding.linear_1": "time_embed.0",
    }
    unet, text = networks
    known = lora.layers(unet)
    for prefix, flat in (("diffusion_model.", False), ("lora_unet_", True)):
        arrays = {}
        for path, original in pairs.items():
            name = prefix + (original.replace(".", "_") if flat else original)
            arrays[f"{name}.diff"] = np.zeros(tuple(known[path].weight.shape), np.float32)
        arrays["text_encoders.clip_l.transformer.text_model.encoder.layers.0.mlp.fc1.diff"] = np.zeros((128, 32))
        found = lora_files.parse(ArrayTensors(arrays), unet, text)
        assert set(found.unet) == set(pairs) and len(found.text_encoder) == 1


def test_words_in_onetrainers_files(networks: Networks) -> None:
    rng = np.random.default_rng(0)
    words = {f"bundle_emb.{word}.clip_l": rng.standard_normal((2, 32), np.float32) for word in ("<ink>", "<pond>")}
    arrays = {**{key: array for key, array in recorded_arrays("ia3").items() if "unet" in key}, **words}
    with pytest.warns(InputWarning, match="brings words .<ink>, <pond>.; --words with this file"):
        found = lora_files.parse(ArrayTensors(arrays), *networks)
    assert set(found.unet) == set(read("ia3", networks).unet)
    token, vectors = textual_inversion.read(arrays, "<pond>")
    assert token == "<pond>" and np.array_equal(vectors, words["bundle_emb.<pond>.clip_l"])
    for name, said in ((None, "say which: --words FILE:<ink> "), ("<lake>", "<ink>, <pond>, and no '<lake>'")):
        with pytest.raises(InputError, match=said):
            textual_inversion.read(arrays, name)
    one = {key: array for key, array in arrays.items() if "<pond>" not in key}
    assert textual_inversion.read(one, "<lake>")[0] == "<lake>" and textual_inversion.read(one)[0] == "<ink>"
