"""The seams: what is attached or swapped works, and leaves nothing behind."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jstyle.errors import InputError
from jstyle.networks.editing import QKV, Seen, Site, Watcher, attached, everywhere, self_attention, swapped
from jstyle.networks.layers import Linear
from jstyle.networks.recompute import recomputed
from jstyle.ops import KeyValue
from jstyle.runtime import jt
from tests.parity.networks import build, relative_error

RNG = np.random.default_rng(7)
SAMPLE = RNG.standard_normal((1, 4, 8, 8)).astype(np.float32)
TEXT = RNG.standard_normal((1, 77, 48)).astype(np.float32)


@pytest.fixture(scope="module")
def unet() -> jt.Module:
    return build("sd2", "unet")


def output(unet: jt.Module, step: int = 0) -> np.ndarray:
    with jt.no_grad():
        return np.array(unet(jt.array(SAMPLE), 500, jt.array(TEXT), step=step).sample.numpy())


def state(unet: jt.Module) -> tuple[str, list[tuple[str, int]], np.ndarray]:
    return repr(unet), [(name, id(var)) for name, var in unet.state_dict().items()], output(unet)


def same(one: Any, other: Any) -> bool:
    return one[:2] == other[:2] and np.array_equal(one[2], other[2])


def sharper(site: Site, step: int, qkv: QKV) -> QKV:
    return replace(qkv, q=qkv.q * 3.0)


def test_an_identity_editor_changes_no_bit(unet: jt.Module) -> None:
    before = output(unet)
    with attached(unet, lambda site, step, qkv: qkv):
        assert np.array_equal(output(unet), before)


def test_the_model_is_as_before_after_an_exception_too(unet: jt.Module) -> None:
    before = state(unet)
    with attached(unet, sharper):
        assert not np.array_equal(output(unet), before[2])
    assert same(state(unet), before)

    def broken(site: Site, step: int, qkv: QKV) -> QKV:
        raise RuntimeError("editor failed")

    with pytest.raises(RuntimeError, match="editor failed"), attached(unet, broken):
        output(unet)
    assert same(state(unet), before)


def test_editors_compose_in_order_and_see_the_step(unet: jt.Module) -> None:
    seen = []

    def note(name: str) -> Any:
        def editor(site: Site, step: int, qkv: QKV) -> QKV:
            seen.append((name, site.path, step))
            return qkv

        return editor

    first = unet.sites[0].path
    with attached(unet, note("outer")), attached(unet, [note("a"), note("b")], lambda site: site.path == first):
        output(unet, step=7)
    assert [name for name, path, _ in seen if path == first] == ["outer", "a", "b"]
    assert {name for name, path, _ in seen if path != first} == {"outer"}
    assert {step for _, _, step in seen} == {7}


def test_sites_are_named_and_numbered_in_the_order_of_execution(unet: jt.Module) -> None:
    order: list[Site] = []
    with attached(unet, lambda site, step, qkv: order.append(site) or qkv):
        output(unet)
    assert tuple(order) == unet.sites
    assert [site.index for site in order if not site.is_cross] == list(range(16))
    assert [site.level for site in order if self_attention(site)] == [0, 0, 1, 1, 2, 2, 3, 2, 2, 2, 1, 1, 1, 0, 0, 0]


def test_shapes_are_batch_tokens_heads_head_dim(unet: jt.Module) -> None:
    def check(site: Site, step: int, qkv: QKV) -> QKV:
        tokens = 64 // 4**site.level
        channels = unet.config.block_out_channels[site.level]
        assert qkv.q.shape == [1, tokens, site.heads, channels // site.heads]
        assert qkv.k.shape == [1, 77 if site.is_cross else tokens, site.heads, channels // site.heads]
        return qkv

    with attached(unet, check, everywhere):
        output(unet)


def test_a_shared_set_of_keys_is_merged_with_the_own(unet: jt.Module) -> None:
    """Attending twice to one set is attending to it once; a far shift down switches the second set off."""

    def twice(site: Site, step: int, qkv: QKV) -> QKV:
        return replace(qkv, shared=KeyValue(qkv.k, qkv.v))

    def off(site: Site, step: int, qkv: QKV) -> QKV:
        return replace(qkv, shared=KeyValue(qkv.k * 2.0, qkv.v * 5.0, shift=-1e4))

    before = output(unet)
    for editor in (twice, off):
        with attached(unet, editor):
            assert relative_error(output(unet), before) < 1e-5


def test_an_editor_sums_two_attentions(unet: jt.Module) -> None:
    """The parts of what is gathered add up to the whole, wherever the parts were gathered."""

    def split(site: Site, step: int, qkv: QKV) -> QKV:
        assert qkv.upcast == unet.config.upcast_attention
        part = replace(qkv, v=qkv.v * 0.3, added=replace(qkv, v=qkv.v * 0.3).attend())
        return replace(part, v=qkv.v * 0.4, added=replace(part, v=qkv.v * 0.3).attend())

    def doubled(site: Site, step: int, qkv: QKV) -> QKV:
        return replace(qkv, added=qkv.attend())

    before = output(unet)
    with attached(unet, split):
        assert relative_error(output(unet), before) < 1e-5
    with attached(unet, doubled):
        assert relative_error(output(unet), before) > 1e-2


def watch(unet: jt.Module, *, again: bool) -> tuple[Seen, np.ndarray, np.ndarray]:
    """What a watcher sees of a call, the call's output, and the gradient of all of it to the latent."""
    sample, watcher = jt.array(SAMPLE), Watcher(lambda qkv: (qkv.q, qkv.attend()))
    sample.start_grad()
    with attached(unet, watcher, lambda site: not site.is_cross and site.index in (1, 6, 15)), ExitStack() as stack:
        if again:
            stack.enter_context(recomputed(unet, {}))
        made = unet(sample, 500, jt.array(TEXT)).sample
        seen = watcher.take()
    weight, total = 1.0, made.sqr().mean()
    for values in seen.values():
        for value in values:
            weight += 1
            total = total + weight * value.sqr().mean()
    (gradient,) = jt.grad(total, [sample])
    assert watcher.take() == {}
    return seen, np.array(made.numpy()), np.array(gradient.numpy())


def test_gradients_pass_through_what_a_watcher_keeps(unet: jt.Module) -> None:
    before = output(unet)
    plain, made, gradient = watch(unet, again=False)
    assert [path.split(".attentions")[0] for path in plain] == ["down_blocks.0", "mid_block", "up_blocks.3"]
    assert np.array_equal(made, before)
    seen, _, again = watch(unet, again=True)
    assert list(seen) == list(plain) and relative_error(again, gradient) < 1e-5
    for path, values in seen.items():
        for value, other in zip(values, plain[path]):
            assert relative_error(np.array(value.numpy()), np.array(other.numpy())) < 1e-6


def test_other_editors_go_with_recomputed_blocks_only_where_no_gradients_are_asked_for(unet: jt.Module) -> None:
    with attached(unet, sharper):
        edited = output(unet)
        with recomputed(unet, {}):
            assert np.array_equal(output(unet), edited)
            with pytest.raises(InputError, match="leave recompute off"):
                unet(jt.array(SAMPLE), 500, jt.array(TEXT))


def test_what_is_gathered_is_computed_once_whoever_asks() -> None:
    parts = [jt.array(RNG.standard_normal((1, 5, 2, 4)).astype(np.float32)) for _ in range(3)]
    qkv = QKV(*parts)
    assert qkv.attend() is qkv.attend()
    assert not np.array_equal(replace(qkv, temperature=2.0).attend().numpy(), qkv.attend().numpy())


def test_selecting_no_layer_is_an_error(unet: jt.Module) -> None:
    with pytest.raises(InputError, match="no attention layer"), attached(unet, sharper, lambda site: False):
        pass


def test_swapped_puts_modules_and_weights_in_and_back(unet: jt.Module) -> None:
    before = state(unet)
    path = "up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0"
    zero = Linear(*reversed(dict(unet.state_dict())[f"{path}.weight"].shape))
    bias = jt.ones(unet.conv_out.bias.shape)
    with swapped(unet, {path: zero, "conv_out.bias": bias}):
        assert dict(unet.state_dict())["conv_out.bias"] is bias
        assert not np.array_equal(output(unet), before[2])
    assert same(state(unet), before)
    with pytest.raises(KeyboardInterrupt), swapped(unet, {path: zero}):
        raise KeyboardInterrupt
    assert same(state(unet), before)


def test_swapping_what_is_not_there_changes_nothing(unet: jt.Module) -> None:
    before = state(unet)
    missing = swapped(unet, {"conv_out.bias": jt.ones([4]), "up_blocks.9.x": jt.ones([1])})
    with pytest.raises(InputError, match="nothing at 'up_blocks.9.x'"), missing:
        pass
    assert same(state(unet), before)
