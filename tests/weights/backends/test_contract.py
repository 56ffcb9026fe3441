"""What the engine asks of a provider, asked of each: the native networks are the measure of the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jstyle.adapters import Lora, LowRank
from jstyle.adapters.lora import changed, layers
from jstyle.drop_in.lora_config import LoraConfig
from jstyle.errors import InputError
from jstyle.networks import ControlNetModel
from jstyle.networks.editing import QKV, Site, attached, self_attention, swapped
from jstyle.networks.layers import GroupNorm, Linear
from jstyle.pipelines.controlnet import StableDiffusionControlNetPipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from style_align.norms import Moments, RecordingGroupNorm, SharedGroupNorm, group_norms
from tests.weights.backends.providers import FOLDER, HOSTED, PROVIDERS, apart, provided, unet_call

TOLERANCE = 1e-5


class Sharper:
    """Doubles the temperature, and notes what it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def __call__(self, site: Site, step: int, qkv: QKV) -> QKV:
        self.seen.append((site, step, tuple(qkv.q.shape), tuple(qkv.k.shape), tuple(qkv.v.shape)))
        return replace(qkv, temperature=2.0)


@pytest.mark.parametrize("provider", HOSTED)
def test_networks_agree(provider: str) -> None:
    native, other = provided("native"), provided(provider)
    assert apart(unet_call(other), unet_call(native)) < TOLERANCE
    assert apart(unet_call(other, times=[3, 900]), unet_call(native, times=[3, 900])) < TOLERANCE
    texts = [pipe.encode_texts(["a house", "two trees"]).numpy() for pipe in (other, native)]
    assert apart(*texts) < TOLERANCE
    picture = jt.array(np.random.default_rng(1).uniform(-1, 1, (1, 3, 32, 32)).astype(np.float32))
    latents = [np.array(pipe.encode_images(picture).numpy()) for pipe in (other, native)]
    assert apart(*latents) < TOLERANCE
    assert apart(*(pipe.decode_latents(jt.array(latents[1])) for pipe in (other, native))) < TOLERANCE


@pytest.mark.parametrize("provider", HOSTED)
def test_a_controlnet_is_refused_in_a_line(provider: str) -> None:
    other = provided(provider)
    net = ControlNetModel.from_unet(other.unet, conditioning_embedding_out_channels=(4, 8, 12))
    with pytest.raises(InputError, match="steers this project's own networks alone: leave backend at native"):
        StableDiffusionControlNetPipeline.from_pipe(other, controlnet=net)
    latents, text = np.zeros((1, 4, 8, 8), np.float32), other.encode_texts("a house")
    down, middle = net(latents, 3, text, np.zeros((1, 3, 32, 32), np.float32), return_dict=False)
    more = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
    with pytest.raises(InputError, match="no ControlNet steers another library's networks"):
        other.unet(latents, 3, text, **more)


@pytest.mark.parametrize("provider", HOSTED)
def test_names_and_configurations_agree(provider: str) -> None:
    native, other = provided("native"), provided(provider)
    assert other.unet.sites == native.unet.sites
    for name in ("unet", "vae", "text_encoder"):
        mine, theirs = (getattr(pipe, name) for pipe in (native, other))
        assert theirs.config == mine.config
        parameters = dict(theirs.named_parameters())
        assert {key: list(one.shape) for key, one in mine.named_parameters()} == {
            key: list(one.shape) for key, one in parameters.items()
        }
    assert other.schedule.config == native.schedule.config and other.size == native.size
    assert other.tokenizer("a house").input_ids == native.tokenizer("a house").input_ids


@pytest.mark.parametrize("provider", HOSTED)
def test_editors_see_and_change_the_same(provider: str) -> None:
    seen, outputs = [], []
    for pipe in (provided(provider), provided("native")):
        editor = Sharper()
        with attached(pipe.unet, editor, self_attention):
            outputs.append(unet_call(pipe, step=7))
        seen.append(editor.seen)
    assert seen[0] == seen[1] and len(seen[0]) == sum(not site.is_cross for site in provided("native").unet.sites)
    assert apart(*outputs) < TOLERANCE < apart(outputs[1], unet_call(provided("native")))


@pytest.mark.parametrize("provider", HOSTED)
def test_lora_changes_the_same(provider: str) -> None:
    """All layers that LoRA may change, ``to_out.0`` among them, beside the weights and in them."""
    rng = np.random.default_rng(2)
    shapes = {path: tuple(one.weight.shape) for path, one in layers(provided("native").unet).items()}
    assert sum(path.endswith("to_out.0") for path in shapes) == len(provided("native").unet.sites)
    change = {}
    for path, (out, *inputs) in shapes.items():
        down = rng.standard_normal((2, *inputs), np.float32) * 0.2
        up = rng.standard_normal((out, 2, *([1, 1] if len(inputs) > 1 else [])), np.float32) * 0.2
        change[path] = LowRank(jt.array(down), jt.array(up), 2.0)
    outputs = []
    for pipe in (provided(provider), provided("native")):
        with changed(pipe.unet, [change]):
            outputs.append(unet_call(pipe))
    assert apart(*outputs) < TOLERANCE < apart(outputs[1], unet_call(provided("native")))
    with changed(provided(provider).unet, [change], fuse=True):
        assert apart(unet_call(provided(provider)), outputs[1]) < TOLERANCE


@pytest.mark.parametrize("provider", HOSTED)
def test_a_lora_can_be_added_and_trained(provider: str) -> None:
    """The same answers and gradients, and afterwards the very answers of before."""
    answers, gradients = [], []
    for pipe in (provided(provider), provided("native")):
        unet, before = pipe.unet, unet_call(pipe)
        unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_out.0", "conv1"]))
        trained = dict(sorted((name, one) for name, one in unet.named_parameters() if one.requires_grad))
        for number, one in enumerate(trained.values()):
            one.assign(jt.array(np.random.default_rng(number).standard_normal(one.shape).astype(np.float32) * 0.2))
        answers.append(unet_call(pipe))
        x, text = jt.ones((1, unet.config.in_channels, 8, 8)), jt.ones((1, 5, unet.config.cross_attention_dim))
        loss = (unet(x, 20, text).sample ** 2).mean()
        gradients.append(np.concatenate([np.ravel(one.numpy()) for one in jt.grad(loss, list(trained.values()))]))
        unet.delete_adapters("default")
        unet.requires_grad_(True)
        assert np.array_equal(unet_call(pipe), before)
    assert apart(*answers) < TOLERANCE < apart(answers[1], before)
    assert apart(*gradients) < 10 * TOLERANCE


@pytest.mark.parametrize("provider", HOSTED)
def test_text_encoders_take_adapters_and_words(provider: str) -> None:
    rng = np.random.default_rng(3)
    width = provided("native").text_encoder.config.hidden_size
    word = jt.array(rng.standard_normal((2, width), np.float32))
    texts = []
    for pipe in (provided(provider), provided("native")):
        change = {
            path: LowRank(*(jt.array(np.full(shape, 0.1, np.float32)) for shape in ((1, width), (width, 1))), 1.0)
            for path in layers(pipe.text_encoder, ["q_proj", "out_proj"])
        }
        pipe.vocabulary.add({"<new>": word})
        pipe.load_lora_weights(Lora({}, change), "test")
        texts.append(np.array(pipe.encode_texts("a <new> house").numpy()))
        pipe.unload_lora_weights()
        pipe.vocabulary.remove()
    assert apart(*texts) < TOLERANCE < apart(texts[1], provided("native").encode_texts("a house").numpy())


@pytest.mark.parametrize("provider", HOSTED)
def test_group_norms_can_be_shared(provider: str) -> None:
    found = [_recorded_and_shared(pipe) for pipe in (provided(provider), provided("native"))]
    assert set(found[0][0]) == set(found[1][0])
    assert max(float(abs(one - found[1][0][path]).max()) for path, one in found[0][0].items()) < 1e-4
    assert apart(found[0][1], found[1][1]) < TOLERANCE
    assert apart(found[0][2], found[1][2]) < TOLERANCE < apart(found[1][2], found[1][1])


def _recorded_and_shared(pipe: Any) -> tuple[dict, np.ndarray, np.ndarray]:
    """The means that norms saw, and the UNet's answer while they note and while they share them."""
    sink: dict = {}
    with swapped(pipe.unet, group_norms(pipe.unet, lambda path, one: RecordingGroupNorm(one, path, sink))):
        recorded = unet_call(pipe)
    means = {path: one.mean.numpy() for path, one in sink.items()}
    shared = {path: Moments(one.mean[:1] + 0.5, one.variance[:1] * 2, one.count) for path, one in sink.items()}
    with swapped(pipe.unet, group_norms(pipe.unet, lambda path, one: SharedGroupNorm(one, shared[path]))):
        return means, recorded, unet_call(pipe)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_gradients_reach_what_is_trained(provider: str) -> None:
    """Of a LoRA's matrix and of a weight, as finite differences tell them."""
    unet = provided(provider).unet
    jt.flags.th_mode = 0  # as the trainers do: other tests' imports bring JTorch along, where it is installed
    path = unet.sites[0].path + ".to_out.0"
    base = layers(unet)[path]
    rng = np.random.default_rng(4)
    out, inputs = base.weight.shape
    down = jt.array(rng.standard_normal((1, inputs), np.float32))
    up = jt.array(rng.standard_normal((out, 1), np.float32))
    x = rng.standard_normal((1, unet.config.in_channels, 8, 8), np.float32)
    text = rng.standard_normal((1, 77, unet.config.cross_attention_dim), np.float32)

    def loss(matrix: jt.Var) -> jt.Var:
        with changed(unet, [{path: LowRank(down, matrix, 1.0)}]):
            return (unet(jt.array(x), [20], jt.array(text)).sample ** 2).mean()

    gradient = jt.grad(loss(up), up).numpy()
    direction = rng.standard_normal(up.shape).astype(np.float32)
    step = 1e-2
    there, back = (float(loss(jt.array(up.numpy() + sign * step * direction)).item()) for sign in (1, -1))
    expected = (there - back) / (2 * step)
    assert abs(float((gradient * direction).sum()) - expected) < 2e-2 * abs(expected)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_everything_is_as_before_after_a_failure(provider: str) -> None:
    pipe = provided(provider)
    before = unet_call(pipe)

    def fails(site: Site, step: int, qkv: QKV) -> QKV:
        raise KeyError("stop")

    with pytest.raises(KeyError), attached(pipe.unet, fails):
        unet_call(pipe)
    norms = [path for path, one in pipe.unet.named_modules() if isinstance(one, GroupNorm)]
    with pytest.raises(TypeError), swapped(pipe.unet, {norms[0]: Broken(4, 8, 1e-5)}):
        unet_call(pipe)
    assert np.array_equal(unet_call(pipe), before)


class Broken(GroupNorm):
    def execute(self, *_: Any, **__: Any) -> jt.Var:
        raise TypeError("broken")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_weights_can_be_swapped_alone(provider: str) -> None:
    pipe = provided(provider)
    before = unet_call(pipe)
    with swapped(pipe.unet, {"conv_out.bias": jt.array(np.full(4, 3.0, np.float32))}):
        moved = unet_call(pipe) - before
    old = pipe.unet.conv_out.bias.numpy()
    assert np.allclose(moved, np.broadcast_to((3.0 - old)[None, :, None, None], moved.shape), atol=1e-5)
    assert np.array_equal(unet_call(pipe), before)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_it_is_saved_and_loaded(provider: str, tmp_path: Path) -> None:
    provided(provider).save_pretrained(tmp_path / "model")
    again = StableDiffusionPipeline.from_pretrained(str(tmp_path / "model"))
    assert np.array_equal(unet_call(again), unet_call(provided("native")))
    assert FOLDER.is_dir()


@pytest.mark.parametrize("provider", HOSTED)
def test_whole_blocks_cannot_be_swapped(provider: str) -> None:
    unet = provided(provider).unet
    with (
        pytest.raises(InputError, match=r"mid_block was replaced.*native backend"),
        swapped(unet, {"mid_block": Linear(1, 1)}),
    ):
        unet_call(provided(provider))
