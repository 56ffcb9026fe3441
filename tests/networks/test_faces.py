"""The networks as scripts for diffusers and transformers use them: called, read, trained, loaded and saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jstyle import AutoencoderKL, CLIPTextModel, ControlNetModel, UNet2DConditionModel
from jstyle.errors import InputError
from jstyle.networks import TextContext
from jstyle.networks.editing import swapped
from jstyle.networks.network import Network
from jstyle.runtime import jt
from tests.parity.networks import build

KINDS = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "text_encoder": CLIPTextModel}
RNG = np.random.default_rng(3)
SAMPLE, TEXT = RNG.standard_normal((2, 4, 8, 8)), RNG.standard_normal((2, 7, 32))
IMAGE, IDS = RNG.standard_normal((1, 3, 16, 16)).astype(np.float32), [[3, 20, 575, 0], [3, 575, 575, 0]]


@pytest.fixture(scope="module")
def unet() -> Any:
    return build("sd1", "unet")


@pytest.fixture(scope="module")
def vae() -> Any:
    return build("sd1", "vae")


@pytest.fixture(scope="module")
def text() -> Any:
    return build("sd1", "text")


def call(unet: Any, *inputs: Any) -> np.ndarray:
    with jt.no_grad():
        return np.array(unet(*inputs).sample.numpy())


TIMES = [41, 41.0, np.int64(41), np.float32(41), np.array(41), np.array([41, 41]), [41, 41]]
TIMES += [jt.array(41), jt.array([41]), jt.array([41, 41]), jt.array([41.0, 41.0]), jt.array([3, 41])[1]]


@pytest.mark.parametrize("time", TIMES, ids=[f"{type(time).__name__}{i}" for i, time in enumerate(TIMES)])
def test_times_are_numbers_of_every_kind(unet: Any, time: Any) -> None:
    np.testing.assert_array_equal(call(unet, SAMPLE, time, TEXT), call(unet, SAMPLE, 41, TEXT))


def test_arrays_are_of_every_kind(unet: Any) -> None:
    wanted = call(unet, np.float32(SAMPLE), 41, np.float32(TEXT))
    sample, context = jt.array(np.float32(SAMPLE)), jt.array(np.float32(TEXT))
    for pair in ((SAMPLE, TEXT), (sample, context), (SAMPLE.tolist(), TextContext(context))):
        np.testing.assert_array_equal(call(unet, pair[0], 41, pair[1]), wanted)
    whole = np.round(10 * SAMPLE).astype(np.int32)
    wanted = call(unet, np.float32(whole), 41, TEXT)
    np.testing.assert_array_equal(call(unet, jt.array(whole), 41, TEXT), wanted)


def test_answers_are_read_by_name_and_by_place(unet: Any, vae: Any, text: Any) -> None:
    output = unet(SAMPLE, 41, encoder_hidden_states=TEXT)
    assert output.sample is output[0] is output["sample"] and list(output) == ["sample"]
    assert isinstance(unet(SAMPLE, 41, TEXT, return_dict=False), tuple)
    with pytest.raises(KeyError):
        output["latent_dist"]
    encoded = vae.encode(IMAGE)
    assert encoded[0] is encoded.latent_dist and vae.encode(IMAGE, return_dict=False)[0].mean.shape == [1, 4, 4, 4]
    decoded = vae.decode(encoded.latent_dist.mode(), return_dict=False)[0]
    np.testing.assert_allclose(vae(IMAGE).sample.numpy(), decoded.numpy(), rtol=1e-6, atol=1e-6)
    states = text(IDS, output_hidden_states=True)
    assert states.last_hidden_state is states[0] and states[1] is states.pooler_output
    assert len(states.hidden_states) == len(states[2]) == 1 + text.config.num_hidden_layers
    assert text(IDS).keys() == ["last_hidden_state", "pooler_output"] and len(text(IDS, return_dict=False)) == 2


def test_hidden_states_are_those_before_the_last_norm(text: Any) -> None:
    """So that leaving out a layer and norming again is what one would have without it (diffusers' clip_skip)."""
    states = text(np.array(IDS), attention_mask=np.ones((2, 4)), output_hidden_states=True)
    normed = text.text_model.final_layer_norm(states.hidden_states[-1])
    np.testing.assert_allclose(normed.numpy(), states[0].numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(states.pooler_output.numpy()[0], states[0].numpy()[0, 2])
    np.testing.assert_array_equal(states.pooler_output.numpy()[1], states[0].numpy()[1, 1])
    with pytest.raises(InputError, match="attention_mask with zeros is not supported"):
        text(IDS, attention_mask=[[1, 1, 1, 0], [1, 1, 0, 0]])
    with pytest.raises(InputError, match="wanted whole numbers as token ids, got float64"):
        text([[0.5]])


def test_a_text_ends_at_its_first_end(text: Any) -> None:
    """Or, where an old configuration names an id that no text has, at its largest."""
    for end, places in ((20, (1, 0)), (575, (2, 1)), (2, (2, 1))):
        network = CLIPTextModel(replace(text.config, eos_token_id=end))
        with swapped(network, {"text_model": text.text_model}):
            output = network(IDS)
        for row, place in enumerate(places):
            np.testing.assert_array_equal(output.pooler_output.numpy()[row], output[0].numpy()[row, place])


def test_a_posterior_is_drawn_from(vae: Any) -> None:
    posterior = vae.encode(IMAGE).latent_dist
    drawn = posterior.sample(np.random.default_rng(5)).numpy()
    np.testing.assert_array_equal(drawn, posterior.sample(np.random.default_rng(5)).numpy())
    noise = np.float32(np.random.default_rng(5).standard_normal((1, 4, 4, 4)))
    wanted = posterior.mean.numpy() + np.exp(0.5 * posterior.logvar.numpy()) * noise
    np.testing.assert_allclose(drawn, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(posterior.std.numpy() ** 2, posterior.var.numpy(), rtol=1e-5)
    jt.set_global_seed(1)
    first, second = posterior.sample().numpy(), posterior.sample().numpy()
    jt.set_global_seed(1)
    np.testing.assert_array_equal(first, posterior.sample().numpy())
    assert np.abs(first - second).max() > 0.01 * np.abs(first - posterior.mean.numpy()).max()


def test_training_and_freezing_are_told_apart_as_in_pytorch() -> None:
    unet = build("sd1", "unet")
    total = sum(parameter.numel() for parameter in unet.parameters())
    assert unet.num_parameters() == unet.num_parameters(only_trainable=True) == total
    assert not unet.eval().training and unet.num_parameters(only_trainable=True) == total
    assert unet.train().training and not unet.train(False).training
    assert unet.requires_grad_(False).num_parameters(only_trainable=True) == 0
    sample = jt.array(np.float32(SAMPLE))
    assert np.abs(jt.grad(unet(sample, 41, TEXT).sample.sum(), sample).numpy()).max() > 0
    assert unet.requires_grad_(True).num_parameters(only_trainable=True) == total


def test_recomputed_blocks_give_the_same_gradients() -> None:
    unet, gradients = build("sd1", "unet"), []
    for change in (unet.disable_gradient_checkpointing, unet.enable_gradient_checkpointing):
        change()
        loss = unet(SAMPLE, 41, TEXT).sample.sqr().mean()
        gradients.append([np.array(gradient.numpy()) for gradient in jt.grad(loss, unet.parameters())])
    for kept, recomputed in zip(*gradients):
        np.testing.assert_allclose(recomputed, kept, rtol=1e-4, atol=1e-5 * np.abs(kept).max() + 1e-9)


def test_what_a_script_may_say_changes_nothing(unet: Any, vae: Any) -> None:
    before = call(unet, SAMPLE, 41, TEXT)
    assert unet.to("cuda") is unet and unet.to("cuda:0", dtype="float32") is unet and unet.dtype == "float32"
    assert vae.to(dtype=np.float16).dtype == "float32" and unet.device in ("cpu", "cuda")
    unet.enable_xformers_memory_efficient_attention()
    unet.set_attention_slice("auto")
    vae.enable_slicing()
    np.testing.assert_array_equal(call(unet, SAMPLE, 41, TEXT), before)
    with pytest.raises(InputError, match="the dtype 'int8' is not known"):
        unet.to("int8")
    for name in ("class_labels", "cross_attention_kwargs"):
        with pytest.raises(InputError, match=f"UNet: the argument '{name}' is not supported; leave it out"):
            unet(SAMPLE, 41, TEXT, **{name: {"scale": 0.5}})
        unet(SAMPLE, 41, TEXT, **{name: None})


def test_a_state_is_loaded_whole_or_not_at_all() -> None:
    source, target = build("sd1", "unet"), build("sd1", "unet").requires_grad_(False)
    names = [name for name, _ in source.named_parameters()]
    state = {name: 2 * parameter.numpy() for name, parameter in source.named_parameters()}
    assert target.load_state_dict(state) == ([], [])
    assert target.num_parameters(only_trainable=True) == 0
    for name, parameter in target.named_parameters():
        np.testing.assert_array_equal(parameter.numpy(), state[name])
    fewer = {"more": state[names[0]], **{name: state[name] / 2 for name in names[1:]}}
    with pytest.raises(InputError, match=f"1 missing .{names[0]}.; 1 unexpected .more."):
        target.load_state_dict(fewer)
    np.testing.assert_array_equal(dict(target.named_parameters())[names[1]].numpy(), state[names[1]])
    assert target.load_state_dict(fewer, strict=False) == ([names[0]], ["more"])
    np.testing.assert_array_equal(dict(target.named_parameters())[names[0]].numpy(), state[names[0]])
    np.testing.assert_array_equal(dict(target.named_parameters())[names[1]].numpy(), state[names[1]] / 2)
    with pytest.raises(InputError, match="1 of the wrong shape"):
        target.load_state_dict({**state, names[0]: np.zeros(3)})
    assert source.load_state_dict(target.state_dict()) == ([], [])


def test_names_that_are_not_here_say_what_to_do(unet: Any, vae: Any) -> None:
    assert unet.cuda() is unet.cpu() is unet.float() is unet.float32() is unet and not jt.flags.use_cuda
    for half in (unet.half, unet.float16):
        with pytest.raises(InputError, match="precision fp16 needs a GPU; leave it at fp32"):
            half()
    assert unet.compile(mode="max-autotune") is None is unet.compile_repeated_blocks(fullgraph=True)
    assert not hasattr(unet, "set_attn_processor") and not hasattr(unet, "unknown")
    with pytest.raises(InputError, match="set_attn_processor: attach an editor"):
        unet.set_attn_processor({})
    with pytest.raises(AttributeError, match="no attribute 'unknown'"):
        _ = unet.unknown


def test_configurations_are_read_as_attributes_and_by_name(unet: Any, vae: Any) -> None:
    assert unet.config["in_channels"] == unet.config.get("in_channels") == unet.config.in_channels == 4
    assert dict(vae.config)["scaling_factor"] == vae.config.scaling_factor and vae.config.get("x", 3) == 3
    with pytest.raises(KeyError):
        vae.config["dtype"]


def test_networks_are_made_of_values_by_name(vae: Any) -> None:
    named = AutoencoderKL(**{name: value for name, value in dict(vae.config).items() if name != "sample_size"})
    assert named.config == replace(vae.config, sample_size=AutoencoderKL().config.sample_size)
    assert AutoencoderKL(vae.config, scaling_factor=0.5).config == replace(vae.config, scaling_factor=0.5)
    for kind in (UNet2DConditionModel, AutoencoderKL, ControlNetModel):
        with pytest.raises(InputError, match="layers_per_blok = 3 is not supported; did you mean layers_per_block"):
            kind(layers_per_blok=3)
        with pytest.raises(InputError, match="wanted a configuration, or values by name, got int"):
            kind(64)


@pytest.mark.parametrize("part", list(KINDS))
def test_a_network_is_loaded_and_saved_alone(part: str, tmp_path: Path) -> None:
    kind: type[Network] = KINDS[part]
    network = kind.from_pretrained("tiny", subfolder=part, use_safetensors=True)
    network.save_pretrained(tmp_path / part)
    for again in (
        kind.from_pretrained(tmp_path / part),
        kind.from_pretrained(str(tmp_path), subfolder=part, low_cpu_mem_usage=False),
    ):
        assert again.config == network.config
        for (name, wanted), (same, found) in zip(network.named_parameters(), again.named_parameters()):
            assert name == same and np.array_equal(wanted.numpy(), found.numpy())
    assert kind.from_config(dict(network.config)).config == network.config
    assert kind.from_config(kind.load_config("tiny", subfolder=part)).config == network.config
    for call, line in (
        (lambda: network.save_pretrained(tmp_path, safe_serialization=False), "pickles are not written"),
        (lambda: kind.from_pretrained(tmp_path, subfolder="nowhere"), "the folder nowhere has no config.json; name"),
        (lambda: kind.from_pretrained("tiny", subfodler=part), "has no argument 'subfodler'; did you mean subfolder?"),
    ):
        with pytest.raises(InputError) as refused:
            call()
        assert line in str(refused.value)


def test_half_precision_files_are_halves(tmp_path: Path, vae: Any) -> None:
    vae.save_pretrained(tmp_path, variant="fp16")
    assert [file.name for file in tmp_path.glob("*.safetensors")] == ["diffusion_pytorch_model.fp16.safetensors"]
    again = AutoencoderKL.from_pretrained(tmp_path, variant="fp16")
    for (_, wanted), (_, found) in zip(vae.named_parameters(), again.named_parameters()):
        np.testing.assert_array_equal(found.numpy(), wanted.numpy().astype(np.float16).astype(np.float32))
