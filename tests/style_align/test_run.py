"""Style Aligned on pictures: one reference for any targets, nothing left behind on the model, everything composes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jstyle.errors import InputError
from jstyle.events import Evaluated, exhaust
from jstyle.methods.sets import ImageReference
from jstyle.networks.editing import QKV, Site, attached, swapped
from jstyle.networks.layers import Linear
from jstyle.pictures import images
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from style_align.run import AlignedSet, StyleAligned, Target
from tests.parity.networks import relative_error
from tests.style_align.small import (
    CHUNK_TOLERANCE,
    EIGHT,
    TARGETS,
    TRAIN,
    latents,
    picture,
    pictures_of,
    settings,
    trajectory,
)


def test_the_reference_does_not_depend_on_the_targets(
    pipe: StableDiffusionPipeline, plain_set: dict[int, np.ndarray]
) -> None:
    alone = trajectory(pipe, TRAIN).latents[-1]
    for features in ("memory", "recompute"):
        beside = latents(pipe, EIGHT[:3], features=features)[-1]
        assert np.array_equal(beside, alone), features
    assert np.array_equal(plain_set[-1], alone)
    generated = pipe(TRAIN.prompt, num_inference_steps=4, guidance_scale=7.5, seed=0, output_type="latent").images
    assert relative_error(alone, generated[0]) < 1e-5


@pytest.mark.parametrize("features", ["memory", "recompute"])
def test_batches_of_any_size_agree(pipe: StableDiffusionPipeline, features: str) -> None:
    one_by_one = latents(pipe, EIGHT, batch_size=1, features=features)
    for size in (3, 8):
        together = latents(pipe, EIGHT, batch_size=size, features=features)
        for target in range(8):
            assert relative_error(together[target], one_by_one[target]) < CHUNK_TOLERANCE
        assert np.array_equal(together[-1], one_by_one[-1])


@pytest.mark.parametrize("features", ["memory", "recompute"])
def test_a_target_is_the_same_to_the_bit_as_first_and_as_last(pipe: StableDiffusionPipeline, features: str) -> None:
    """So a run that goes on after some targets, or shares them between workers, comes to the same pictures."""
    two, last = EIGHT[:2], EIGHT[1:2]
    together = latents(pipe, two, batch_size=1, features=features)
    assert np.array_equal(latents(pipe, last, batch_size=1, features=features)[0], together[1])


def test_features_kept_and_computed_again_agree(
    pipe: StableDiffusionPipeline, plain_set: dict[int, np.ndarray]
) -> None:
    for changes, tolerance in (
        ({"features": "memory"}, CHUNK_TOLERANCE),
        ({"features": "recompute"}, CHUNK_TOLERANCE),
        ({"features": "memory", "feature_dtype": "float16"}, 2e-2),
    ):
        other = latents(pipe, **changes)
        assert all(relative_error(other[i], plain_set[i]) < tolerance for i in range(4)), changes


def test_more_targets_of_the_same_reference(pipe: StableDiffusionPipeline, plain_set: dict[int, np.ndarray]) -> None:
    """However its features were kept before."""
    aligned = AlignedSet(pipe, settings(features="auto", batch_size=4), [TRAIN])
    first = [images.to_array([image]) for _, image in pictures_of(aligned, TARGETS) if image]  # a batch keeps nothing
    for batch in ([*TARGETS, *TARGETS], TARGETS):  # several keep everything
        again = [images.to_array([image]) for _, image in pictures_of(aligned, batch) if image]
        assert len(again) == len(batch)
        assert all(np.abs(again[i] - first[i]).max() <= 2 / 127.5 for i in range(4))


def test_a_reference_is_evaluated_once_a_step_whatever_the_batches(pipe: StableDiffusionPipeline) -> None:
    for features in ("memory", "recompute"):
        for reference in (TRAIN, ImageReference("a train", picture(3))):
            aligned = AlignedSet(pipe, settings(batch_size=1, features=features), [reference])
            events = [event for event in aligned.make_pictures(TARGETS) if isinstance(event, Evaluated)]
            of_reference = [event.count for event in events if event.stage == "reference"]
            assert of_reference == [2] * 4, (features, reference)
            assert [event.count for event in events if event.stage == "pictures"] == [2] * 4 * 4


def test_a_set_from_python(pipe: StableDiffusionPipeline, plain_set: dict[int, np.ndarray]) -> None:
    style_aligned, texts = StyleAligned(pipe, settings(batch_size=4)), [one.prompt for one in TARGETS]
    aligned = AlignedSet(pipe, settings(batch_size=4), [TRAIN])
    expected = [image for _, image in sorted(pictures_of(aligned, TARGETS), key=lambda made: made[0])]
    reference = exhaust(aligned.make_references())
    assert style_aligned([TRAIN.prompt, *texts], seed=0) == [*reference, *expected]
    assert style_aligned(texts, reference=TRAIN) == expected
    kept = trajectory(pipe, ImageReference("a train", picture(3)), batch_size=4)
    from_picture = style_aligned(texts[:1], seed=5, reference=ImageReference("a train", picture(3)))
    assert style_aligned(texts[:1], seed=5, reference=[kept]) == from_picture
    assert style_aligned(texts[:2], reference=TRAIN, starts=[picture(4)]) != expected[:2]
    with pytest.raises(InputError, match="2 pictures to start 4"):
        style_aligned(texts, reference=TRAIN, starts=[picture(4)] * 2)
    with pytest.raises(InputError, match="at least one text"):
        style_aligned([])


def test_a_result_that_is_not_finite_is_no_picture(
    pipe: StableDiffusionPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = pipe.decode_latents
    rows = iter([False, True])
    monkeypatch.setattr(pipe, "decode_latents", lambda x: decode(x) * (np.nan if next(rows) else 1))
    aligned = AlignedSet(pipe, settings(batch_size=1), [TRAIN])
    made = pictures_of(aligned, TARGETS[:2])
    assert [(number, image is None) for number, image in made] == [(0, False), (1, True)]
    monkeypatch.setattr(pipe, "decode_latents", lambda x: decode(x) * np.nan)
    with pytest.raises(InputError, match="not finite"):
        aligned.make_all(TARGETS[:1])


def test_strength_goes_from_plain_generation_to_the_method_and_beyond(
    pipe: StableDiffusionPipeline, plain_set: dict[int, np.ndarray]
) -> None:
    texts = [one.prompt for one in TARGETS]
    plain = pipe(
        texts, num_inference_steps=4, guidance_scale=7.5, seed=[1, 2, 3, 4], output_type="latent"
    ).images  # (4, 4, h, w)
    none = latents(pipe, style_strength=0.0, batch_size=4)
    tiny = latents(pipe, style_strength=1e-5)
    half, more = latents(pipe, style_strength=0.5), latents(pipe, style_strength=2.0)
    for i in range(4):
        assert relative_error(none[i], plain[i]) < CHUNK_TOLERANCE
        assert relative_error(tiny[i], plain[i]) < 1e-3
        assert relative_error(half[i], plain[i]) > 0.01
        assert relative_error(half[i], plain_set[i]) > 0.01
        assert relative_error(more[i], plain_set[i]) > 1e-3


def test_every_option_changes_the_result(pipe: StableDiffusionPipeline, plain_set: dict[int, np.ndarray]) -> None:
    changes: list[dict[str, Any]] = [
        {"preset": "sdxl", "guidance": 7.5}, {"guidance": 3.0}, {"guidance": 1.0}, {"negative_prompt": "ugly"},
        {"share_attention": False}, {"adain_queries": False}, {"adain_keys": False}, {"adain_values": True},
        {"share_group_norm": False}, {"shared_score_shift": 1.0}, {"shared_score_scale": 0.5},
        {"only_self_level": 0.5}, {"layer_start": 3}, {"layer_stop": 2}, {"step_start": 2}, {"step_stop": 1},
        {"step_fraction": 0.5}, {"eta": 0.5}, {"preset": "full_attention", "guidance": 7.5},
    ]  # fmt: skip
    for change in changes:
        other = latents(pipe, TARGETS[:1], **change)
        assert relative_error(other[0], plain_set[0]) > 1e-4, change


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "pndm", "lms", "euler", "dpmpp_2m"])
def test_any_sampler_any_reference_and_image_to_image(pipe: StableDiffusionPipeline, sampler: str) -> None:
    from_text = latents(pipe, TARGETS[:1], sampler=sampler)
    beside = ImageReference("a train", picture(3))
    from_image = latents(pipe, TARGETS[:1], [beside], sampler=sampler, offset=1)
    started = latents(pipe, [replace(TARGETS[0], image=picture(4))], sampler=sampler, image_strength=0.6)
    found = [from_text[0], from_image[0], started[0]]
    assert all(np.isfinite(one).all() for one in found)
    assert relative_error(found[1], found[0]) > 1e-2
    assert relative_error(found[2], found[0]) > 1e-2


def test_image_to_image_without_style_is_the_engines(pipe: StableDiffusionPipeline) -> None:
    from jstyle.pipelines.image_to_image import StableDiffusionImg2ImgPipeline

    start = picture(4, 64, 64)
    ours = latents(pipe, [replace(TARGETS[0], image=start)], style_strength=0.0, image_strength=0.5)
    engine = StableDiffusionImg2ImgPipeline.from_pipe(pipe)
    theirs = engine(TARGETS[0].prompt, start, 0.5, 4, seed=1, output_type="latent").images
    assert relative_error(ours[0], theirs[0]) < 1e-5


# What it leaves behind, and what it works beside.


def state(pipe: StableDiffusionPipeline) -> tuple[Any, ...]:
    sample = np.random.default_rng(0).standard_normal((1, 4, 16, 16)).astype(np.float32)
    with jt.no_grad():
        out = np.array(pipe.unet(jt.array(sample), 500, pipe.encode_texts("a cat")).sample.numpy())
    modules = [(name, id(module)) for name, module in pipe.unet.named_modules()]
    return repr(pipe.unet), modules, [(n, id(v)) for n, v in pipe.unet.state_dict().items()], pipe.unet.attachments, out


def same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return one[:-1] == other[:-1] and np.array_equal(one[-1], other[-1])


@pytest.mark.parametrize("preset", ["sd", "full_attention"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_model_is_as_before(pipe: StableDiffusionPipeline, preset: str, error: Any) -> None:
    before = state(pipe)
    latents(pipe, preset=preset)
    assert same(state(pipe), before)
    calls = []

    def failing(site: Site, step: int, qkv: QKV) -> QKV:
        calls.append(step)
        if step == 2 and site.index == 5:
            raise error("in the middle")
        return qkv

    with pytest.raises(error), attached(pipe.unet, failing):
        latents(pipe, preset=preset)
    assert max(calls) == 2
    assert same(state(pipe), before)
    aligned = AlignedSet(pipe, settings(preset=preset, features="memory", batch_size=1), [TRAIN])
    run = aligned.make_pictures(TARGETS)
    next(run)  # left in the middle
    assert same(state(pipe), before)


def test_editors_and_weights_of_others_act_on_reference_and_targets(
    pipe: StableDiffusionPipeline, plain_set: dict[int, np.ndarray]
) -> None:
    """As LoRA and other methods do it: an editor attached and a layer swapped around the run."""

    def sharper(site: Site, step: int, qkv: QKV) -> QKV:
        return replace(qkv, temperature=1.5)

    path = "up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    original = pipe.unet.up_blocks[1].attentions[0].transformer_blocks[0].attn1.to_q
    adapted = Linear(original.weight.shape[1], original.weight.shape[0], bias=False)
    adapted.weight = original.weight * 1.5
    before = state(pipe)
    with attached(pipe.unet, sharper, lambda site: not site.is_cross):
        edited = latents(pipe)
    with swapped(pipe.unet, {path: adapted}):
        swapped_in = latents(pipe)
        itself = latents(pipe, [Target(TRAIN.prompt, TRAIN.seed)])
    for found in (edited, swapped_in):
        assert all(relative_error(found[i], plain_set[i]) > 1e-4 for i in found)
    assert relative_error(itself[0], itself[-1]) < CHUNK_TOLERANCE
    assert same(state(pipe), before)
