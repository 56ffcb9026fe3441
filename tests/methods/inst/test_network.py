"""The attention that makes a word of a picture, and what CLIP is shown of the picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle.methods.inst import training as inst
from jstyle.methods.inst.network import DROPOUTS, Sizes, StyleAttention
from jstyle.networks.clip_vision import normalised
from jstyle.networks.editing import swapped
from jstyle.networks.initial import initialise
from jstyle.networks.layers import Nothing
from jstyle.pictures import images
from jstyle.runtime import jt
from jstyle.training.teaching.dropout import Dropout
from jstyle.training.teaching.tuning import Clock
from tests.methods.inst.small import picture
from tests.parity.networks import build, relative_error

SIZES = Sizes(24, 16, 2, 4)


def network(seed: int = 3) -> StyleAttention:
    """With biases that are not zero."""
    made = StyleAttention(SIZES)
    initialise(made, seed)
    rng = np.random.default_rng(seed)
    for name, one in made.named_parameters():
        if name.endswith("bias"):
            one.assign(jt.array(rng.standard_normal(one.shape).astype(np.float32)))
    return made


def some_tokens(count: int, batch: int = 2) -> np.ndarray:
    return 2 * np.random.default_rng(count).standard_normal((batch, count, SIZES.width)).astype(np.float32)


def weights_of(made: StyleAttention) -> dict[str, np.ndarray]:
    return {name: np.array(one.numpy(), np.float64) for name, one in made.named_parameters()}


def attention(w: dict[str, np.ndarray], name: str, x: np.ndarray, context: np.ndarray) -> np.ndarray:
    """One query (width,) over the rows of context (tokens, width), head by head."""
    heads, width = SIZES.heads, SIZES.head_width
    q = (w[f"{name}.to_q.weight"] @ x).reshape(heads, width)
    keys = (context @ w[f"{name}.to_k.weight"].T).reshape(-1, heads, width)
    values = (context @ w[f"{name}.to_v.weight"].T).reshape(-1, heads, width)
    found = []
    for head in range(heads):
        share = np.exp(keys[:, head] @ q[head] / np.sqrt(width))
        found.append((share / share.sum()) @ values[:, head])
    return w[f"{name}.to_out.0.weight"] @ np.concatenate(found) + w[f"{name}.to_out.0.bias"]


def formula(w: dict[str, np.ndarray], tokens: np.ndarray) -> np.ndarray:
    """The embedding of one picture's tokens (tokens, width) in float64."""
    query = attention(w, "attn1", tokens[0], tokens)
    return w["net.1.weight"] @ attention(w, "attn2", query, tokens) + w["net.1.bias"]


@pytest.mark.parametrize("count", [1, 2, 17])
def test_the_formula(count: int) -> None:
    made, tokens = network(), some_tokens(count)
    out = made(jt.array(tokens))
    assert tuple(out.shape) == (2, SIZES.hidden_size)
    assert relative_error(out, np.stack([formula(weights_of(made), np.float64(one)) for one in tokens])) < 1e-6


def gradients(made: StyleAttention, tokens: np.ndarray) -> dict[str, float]:
    """The largest number of each parameter's gradient."""
    named = dict(made.named_parameters())
    out = made(jt.array(tokens))
    weight = np.random.default_rng(0).standard_normal(out.shape).astype(np.float32)
    found = jt.grad((out * jt.array(weight)).sum(), list(named.values()))
    return {name: float(np.abs(one.numpy()).max()) for name, one in zip(named, found)}


def test_with_one_token_half_of_the_network_learns_nothing() -> None:
    """As in the paper's code. A softmax over one key is 1: neither queries nor keys matter, nor what makes a query."""
    idle = {name for name, most in gradients(network(), some_tokens(1)).items() if most < 1e-6}
    first = {
        f"attn1.{rest}" for rest in ("to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight", "to_out.0.bias")
    }
    assert idle == first | {"attn2.to_q.weight", "attn2.to_k.weight"}
    made, (a, b) = network(), some_tokens(1)
    ends = [np.array(made(jt.array(one[None])).numpy()) for one in (a, b, (a + b) / 2)]
    assert np.allclose(ends[2], (ends[0] + ends[1]) / 2, atol=1e-5)  # affine


def test_with_patches_everything_learns() -> None:
    found = gradients(network(), some_tokens(17))
    assert min(found.values()) > 1e-3, found
    made, (a, b) = network(), some_tokens(17)
    ends = [np.array(made(jt.array(one[None])).numpy()) for one in (a, b, (a + b) / 2)]
    assert not np.allclose(ends[2], (ends[0] + ends[1]) / 2, atol=1e-2)


def test_the_first_token_asks_and_the_order_of_the_others_says_nothing() -> None:
    made, tokens = network(), some_tokens(9, batch=1)
    turned = np.concatenate([tokens[:, :1], tokens[:, :0:-1]], axis=1)
    exchanged = tokens[:, [1, 0, *range(2, 9)]]
    out, again, other = (np.array(made(jt.array(one)).numpy()) for one in (tokens, turned, exchanged))
    assert np.allclose(out, again, atol=1e-5) and not np.allclose(out, other, atol=1e-2)


def test_dropout_is_drawn_by_the_index_and_acts_in_training_alone() -> None:
    made, tokens, clock = network(), jt.array(some_tokens(9)), Clock()

    def out(index: Any) -> np.ndarray:
        clock.index = index
        return np.array(made(tokens).numpy())

    plain = out(None)
    with swapped(made, {path: Dropout(0.3, 0, path, clock) for path in DROPOUTS}):
        assert np.array_equal(out(None), plain)
        first, second = out(0), out(1)
        assert np.array_equal(out(0), first)
        assert not np.allclose(first, second) and not np.allclose(first, plain)
    for path in DROPOUTS:  # each acts by itself
        with swapped(made, {path: Dropout(0.3, 0, path, clock)}):
            assert not np.allclose(out(0), plain), path
    assert np.array_equal(out(0), plain)
    assert set(DROPOUTS) == {path for path, module in made.named_modules() if isinstance(module, Nothing)}


@pytest.fixture(scope="module")
def encoder() -> Any:
    return build("sd2", "vision")


def test_the_first_token_is_clips_embedding(encoder: Any) -> None:
    pixels = jt.array(normalised(np.asarray(picture(1, 32))[None]))
    with jt.no_grad():
        features = encoder(pixels)
        tokens = encoder.projected(features)
    assert tuple(tokens.shape) == (1, 17, 24)
    assert relative_error(tokens[:, 0], np.float64(features.embeds.numpy())) < 1e-6
    assert np.array_equal(inst.encode_by_clip(encoder, [picture(1, 32)]).numpy(), tokens.numpy())


def test_compat_hides_the_picture_and_nothing_else_does(encoder: Any) -> None:
    pictures = [picture(1), picture(2)]
    right, wrong = (np.array(inst.encode_by_clip(encoder, pictures, compat=one).numpy()) for one in (False, True))
    assert relative_error(right[1], right[0]) > 0.05
    assert relative_error(wrong[1], wrong[0]) < 1e-6
    black = Image.new("RGB", (32, 32))
    assert relative_error(wrong[0], np.array(inst.encode_by_clip(encoder, [black]).numpy())[0]) < 1e-6


def test_what_compat_leaves_of_a_picture() -> None:
    """What NumPy's cast of [-1, 1] to uint8 leaves on x86, where -1 wraps around."""
    pixels = np.array([[[0, 1, 127], [128, 254, 255]]], np.uint8)
    found = np.asarray(inst.truncate_pixels(Image.fromarray(pixels)))
    assert found.tolist() == [[[255, 0, 0], [0, 0, 1]]]
    assert images.to_array([Image.fromarray(pixels)]).min() == -1
