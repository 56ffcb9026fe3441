"""Style Aligned on pictures: one reference for any targets, nothing left behind on the model, everything composes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
import pytest
from PIL import Image

from jstyle import images
from jstyle.editing import QKV, Site, attached, swapped
from jstyle.errors import InputError
from jstyle.models.layers import Linear
from jstyle.pipeline import StableDiffusionPipeline
from jstyle.runtime import jt
from style_align.features import feature_bytes
from style_align.files import save_reference
from style_align.panorama import Window, windows
from style_align.request import AnyReference, ImageReference, Target, TextReference
from style_align.settings import PRESETS, Sharing, StyleAlignSettings
from style_align.share import shared_sites
from style_align.trajectory import Trajectory, load_trajectory
from style_align.transfer import StyleAlign
from tests.parity.networks import GOLDEN, relative_error

TRAIN = TextReference("a toy train", 0)
TARGETS = [Target(f"a toy {thing}", seed) for seed, thing in enumerate(["car", "boat", "cat", "owl"], 1)]
EIGHT = [*TARGETS, *(replace(one, seed=one.seed + 10) for one in TARGETS)]
CHUNK_TOLERANCE = 1e-4  # of final latents: sums in another order


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))


def settings(**changes: Any) -> StyleAlignSettings:
    return StyleAlignSettings(**{"steps": 4, "batch_size": 2, "feature_dtype": "float32", **changes})


def picture(seed: int, width: int = 48, height: int = 48) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(pixels).resize((width, height))


def latents(
    pipe: StableDiffusionPipeline,
    targets: Sequence[Target] = TARGETS,
    references: Sequence[AnyReference] = (TRAIN,),
    weights: Any = None,
    **changes: Any,
) -> Dict[int, np.ndarray]:
    """The final latents by target; -1 is the first reference's."""
    method = StyleAlign(pipe, settings(**changes), references, weights)
    found: List[np.ndarray] = []
    decode = pipe.decode_latents

    def noting(x: jt.Var) -> np.ndarray:
        found.append(np.array(x.numpy())[0])
        return decode(x)

    pipe.decode_latents = noting  # type: ignore[method-assign]
    try:
        done = list(method.run(targets))
        method.reference_images()
    finally:
        del pipe.decode_latents
    return {**{one.target: latent for one, latent in zip(done, found)}, -1: found[len(done)]}


@pytest.fixture(scope="module")
def plain_set(pipe: StableDiffusionPipeline) -> Dict[int, np.ndarray]:
    return latents(pipe)


def test_the_reference_does_not_depend_on_the_targets(
    pipe: StableDiffusionPipeline, plain_set: Dict[int, np.ndarray]
) -> None:
    alone = StyleAlign(pipe, settings(), [TRAIN]).trajectory().latents[-1]
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


def test_features_kept_and_computed_again_agree(
    pipe: StableDiffusionPipeline, plain_set: Dict[int, np.ndarray]
) -> None:
    for changes, tolerance in (
        ({"features": "memory"}, CHUNK_TOLERANCE),
        ({"features": "recompute"}, CHUNK_TOLERANCE),
        ({"features": "memory", "feature_dtype": "float16"}, 2e-2),
    ):
        other = latents(pipe, **changes)
        assert all(relative_error(other[i], plain_set[i]) < tolerance for i in range(4)), changes


def test_more_targets_of_the_same_reference(pipe: StableDiffusionPipeline, plain_set: Dict[int, np.ndarray]) -> None:
    """However its features were kept before."""
    method = StyleAlign(pipe, settings(features="auto", batch_size=4), [TRAIN])
    first = [images.to_array([one.image]) for one in method.run(TARGETS) if one.image]  # one batch keeps nothing
    for batch in ([*TARGETS, *TARGETS], TARGETS):  # several keep everything
        again = [images.to_array([one.image]) for one in method.run(batch) if one.image]
        assert len(again) == len(batch)
        assert all(np.abs(again[i] - first[i]).max() <= 2 / 127.5 for i in range(4))


def test_a_reference_is_evaluated_once_a_step_whatever_the_batches(pipe: StableDiffusionPipeline) -> None:
    for features in ("memory", "recompute"):
        for reference in (TRAIN, ImageReference("a train", picture(3))):
            told: List[Tuple[str, int]] = []
            method = StyleAlign(
                pipe,
                settings(batch_size=1, features=features),
                [reference],
                progress=lambda stage, count, told=told: told.append((stage, count)),  # type: ignore[misc]
            )
            assert len(list(method.run(TARGETS))) == 4
            stages = [stage for stage, _ in told]
            assert stages.count("reference") == 4, (features, reference)
            assert sum(count for stage, count in told if stage == "pictures") == 4 * 4
            assert sum(count for _, count in told) == method.planned(TARGETS)


def test_strength_goes_from_plain_generation_to_the_method_and_beyond(
    pipe: StableDiffusionPipeline, plain_set: Dict[int, np.ndarray]
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


def test_every_option_changes_the_result(pipe: StableDiffusionPipeline, plain_set: Dict[int, np.ndarray]) -> None:
    changes: List[Dict[str, Any]] = [
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
    from jstyle.image_to_image import StableDiffusionImg2ImgPipeline

    start = picture(4, 64, 64)
    ours = latents(pipe, [replace(TARGETS[0], image=start)], style_strength=0.0, image_strength=0.5)
    engine = StableDiffusionImg2ImgPipeline.from_pipe(pipe)
    theirs = engine(TARGETS[0].prompt, start, 0.5, 4, seed=1, output_type="latent").images
    assert relative_error(ours[0], theirs[0]) < 1e-5


def test_a_reference_that_shares_with_itself_stays(pipe: StableDiffusionPipeline) -> None:
    """A target of the reference's own text and noise: sharing with its equal changes nothing."""
    found = latents(pipe, [Target(TRAIN.prompt, TRAIN.seed)])
    assert relative_error(found[0], found[-1]) < CHUNK_TOLERANCE


def test_an_inverted_picture_comes_back_and_its_file_serves_again(
    pipe: StableDiffusionPipeline, tmp_path: Path
) -> None:
    given = ImageReference("a train", picture(3))
    method = StyleAlign(pipe, settings(), [given])
    first = latents(pipe, references=[given])
    file = tmp_path / "deep" / "train.safetensors"
    method.trajectory().save(file)
    again = latents(pipe, references=[load_trajectory(file)])
    assert all(np.array_equal(first[i], again[i]) for i in first)
    kept = images.to_array(method.reference_images())
    clean = pipe.encode_images(jt.array(images.to_array([images.fit(picture(3), 64, 64)])))
    assert np.abs(kept - np.clip(pipe.decode_latents(clean), -1, 1)).max() <= 1 / 127.5
    generated = StyleAlign(pipe, settings(), [TRAIN]).trajectory()
    generated.save(file)
    assert not load_trajectory(file).inverted
    from_file, direct = latents(pipe, references=[load_trajectory(file)]), latents(pipe)
    assert all(relative_error(from_file[i], direct[i]) < 1e-5 for i in direct)


def test_a_set_that_shares_everything_with_a_picture(pipe: StableDiffusionPipeline) -> None:
    given = ImageReference("a train", picture(3))
    whole = {"preset": "full_attention", "batch_size": 1}
    ahead = latents(pipe, references=[given], offset=1, **whole)
    level = latents(pipe, references=[given], offset=0, **whole)
    assert all(relative_error(ahead[i], level[i]) > 1e-3 for i in range(4))
    assert np.array_equal(ahead[-1], level[-1])
    fewer = latents(pipe, TARGETS[:2], references=[given], offset=0, **whole)
    assert relative_error(fewer[0], level[0]) > 1e-4  # the others of the set matter
    started = [replace(one, image=picture(4)) for one in TARGETS[:2]]
    assert np.isfinite(latents(pipe, started, **whole)[1]).all()


def test_a_saved_reference_is_never_replaced_unasked(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    one, other = (StyleAlign(pipe, settings(), [TextReference("a", seed)]).trajectory() for seed in (1, 2))
    file = tmp_path / "kept.safetensors"
    save_reference(one, file, overwrite=False)
    save_reference(one, file, overwrite=False)
    before = file.read_bytes()
    with pytest.raises(InputError, match="another reference; --overwrite"):
        save_reference(other, file, overwrite=False)
    assert file.read_bytes() == before
    save_reference(other, file, overwrite=True)
    assert np.array_equal(load_trajectory(file).latents, other.latents)


def test_stored_references_that_do_not_fit(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    stored = StyleAlign(pipe, settings(), [TRAIN]).trajectory()
    other = replace(stored, about={**stored.about, "model_hash": "0"})
    with pytest.raises(InputError, match="other weights"):
        StyleAlign(pipe, settings(), [other])
    with pytest.raises(InputError, match="steps = 4, not 5; use --steps 4"):
        StyleAlign(pipe, settings(steps=5), [stored])
    with pytest.raises(InputError, match="sampler = ddim"):
        StyleAlign(pipe, settings(sampler="euler"), [stored])
    (tmp_path / "none").write_bytes(b"no reference")
    for name, said in (("none", "is no saved reference"), ("missing", "there is no saved reference")):
        with pytest.raises(InputError, match=said):
            load_trajectory(tmp_path / name)


def test_several_references_are_mixed(pipe: StableDiffusionPipeline, plain_set: Dict[int, np.ndarray]) -> None:
    two = [TRAIN, TextReference("a watercolour", 9)]
    nearly_first = latents(pipe, references=two, weights=[1.0, 1e-6])
    equal = latents(pipe, references=two)
    alone = latents(pipe, references=two[1:])
    for i in range(4):
        assert relative_error(nearly_first[i], plain_set[i]) < 1e-3
        assert relative_error(equal[i], plain_set[i]) > 1e-2
        assert relative_error(equal[i], alone[i]) > 1e-2
    twice = latents(pipe, references=[TRAIN, TRAIN])
    assert all(relative_error(twice[i], plain_set[i]) < CHUNK_TOLERANCE for i in range(4))
    for weights in ([1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")]):
        with pytest.raises(InputError, match="weights"):
            StyleAlign(pipe, settings(), two, weights)


# What it leaves behind, and what it works beside.


def state(pipe: StableDiffusionPipeline) -> Tuple[Any, ...]:
    sample = np.random.default_rng(0).standard_normal((1, 4, 16, 16)).astype(np.float32)
    with jt.no_grad():
        out = np.array(pipe.unet(jt.array(sample), 500, pipe.encode_prompt("a cat")).numpy())
    modules = [(name, id(module)) for name, module in pipe.unet.named_modules()]
    return repr(pipe.unet), modules, [(n, id(v)) for n, v in pipe.unet.state_dict().items()], pipe.unet.attachments, out


def same(one: Tuple[Any, ...], other: Tuple[Any, ...]) -> bool:
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
    run = StyleAlign(pipe, settings(preset=preset, features="memory", batch_size=1), [TRAIN]).run(TARGETS)
    next(run)  # left in the middle
    assert same(state(pipe), before)


def test_editors_and_weights_of_others_act_on_reference_and_targets(
    pipe: StableDiffusionPipeline, plain_set: Dict[int, np.ndarray]
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


# Panoramas.


@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 40), (12, 33), (21, 16), (5, 7)])
def test_windows_cover_everything(height: int, width: int, circular: bool) -> None:
    counts = np.zeros((height, width))
    for window in windows(height, width, 16, 5, circular=circular):
        assert (len(window.rows), len(window.columns)) == (min(height, 16), min(width, 16))
        counts[window.rows[:, None], window.columns] += 1
    assert counts.min() >= 1
    if circular and width == 40:
        assert np.ptp(counts[0]) <= 1  # no edge is seen less than the middle


def test_a_stride_that_leaves_gaps() -> None:
    with pytest.raises(InputError, match="leaves gaps"):
        windows(16, 64, 16, 17)
    assert isinstance(windows(16, 64, 16, 16)[0], Window)


def test_a_panorama_of_any_size_and_batch(pipe: StableDiffusionPipeline) -> None:
    wide = {"panorama": True, "width": 132, "height": 64, "stride": 4}
    one = latents(pipe, TARGETS[:2], batch_size=1, **wide)
    assert one[0].shape == (4, 16, 33)
    assert one[-1].shape == (4, 16, 16)
    for changes in ({"batch_size": 5}, {"batch_size": 3, "features": "memory"}):
        other = latents(pipe, TARGETS[:2], **{**wide, **changes})
        assert all(relative_error(other[i], one[i]) < CHUNK_TOLERANCE for i in (0, 1))
        assert np.array_equal(other[-1], one[-1])
    plain = latents(pipe, TARGETS[:1], style_strength=0.0, **wide)
    assert relative_error(plain[0], one[0]) > 1e-2
    around = latents(pipe, TARGETS[:1], circular=True, **wide)
    assert around[0].shape == (4, 16, 33 + 2 * 4)  # what is decoded has some of the other edge beside each edge
    assert np.array_equal(around[0][..., :4], around[0][..., 33:37])
    assert relative_error(around[0][..., 4:-4], one[0]) > 1e-2
    low = latents(pipe, TARGETS[:1], panorama=True, width=96, height=32)
    assert (low[0].shape, low[-1].shape) == ((4, 8, 24), (4, 8, 16))


def test_one_window_is_plain_generation(pipe: StableDiffusionPipeline) -> None:
    small = latents(pipe, TARGETS[:1], panorama=True, width=64, height=64, style_strength=0.0)
    plain = pipe(TARGETS[0].prompt, num_inference_steps=4, seed=1, output_type="latent").images
    assert relative_error(small[0], plain[0]) < 1e-5


def test_a_circular_panorama_turns_with_its_noise(pipe: StableDiffusionPipeline) -> None:
    """Turning a circular panorama's noise by the stride turns the picture, so no place is the seam."""
    from style_align.panorama import Panorama, decode

    places = windows(16, 32, 16, 8, circular=True)
    fused = Panorama(lambda count: pipe.denoiser(["a sea"] * count, "", 5.0), places, 4)
    x = np.random.default_rng(1).standard_normal((1, 4, 16, 32)).astype(np.float32)
    level = pipe.schedule.levels(4)[1]
    straight, turned = (fused(jt.array(np.roll(x, by, axis=3)), level, 0).x0.numpy() for by in (0, 8))
    assert relative_error(np.roll(straight, 8, axis=3), turned) < 1e-5
    errors = []
    for circular in (True, False):
        pictures = [decode(pipe, jt.array(np.roll(x, by, axis=3)), 64, circular=circular) for by in (0, 8)]
        assert pictures[0].shape == (1, 3, 64, 128)
        errors.append(relative_error(np.roll(pictures[0], 32, axis=3), pictures[1]))
    assert errors[0] < 0.3 * errors[1]  # the autoencoder's norms see the whole picture, so not nothing


# Settings.


def test_presets_are_those_of_the_notebooks() -> None:
    told = {name: (StyleAlignSettings(preset=name).sharing(False), PRESETS[name]["guidance"]) for name in PRESETS}  # type: ignore[arg-type]
    assert told["sd"] == (Sharing(), 7.5)
    assert told["sdxl"] == (Sharing(share_group_norm=False), 5.0)
    assert told["image"] == (Sharing(shared_score_shift=float(np.log(2))), 10.0)
    assert told["famous_image"] == (Sharing(shared_score_scale=0.5), 10.0)
    assert told["panorama"] == (Sharing(), 7.5)
    assert StyleAlignSettings().steps_ahead == 5
    chosen = [StyleAlignSettings(panorama=wide).chosen_preset(image) for wide in (False, True) for image in (0, 1)]
    assert chosen == ["sd", "image", "panorama", "image"]


def test_layers_are_chosen_as_the_papers_code_does(pipe: StableDiffusionPipeline) -> None:
    everything = shared_sites(pipe.unet, Sharing())
    assert len(everything) == 16
    assert shared_sites(pipe.unet, Sharing(only_self_level=1.0)) == frozenset()
    half = shared_sites(pipe.unet, Sharing(only_self_level=0.5))
    listed = sorted((s for s in pipe.unet.sites if not s.is_cross), key=lambda s: s.path.startswith("mid"))
    assert half == {site.path for site in listed[1::2]}
    few = shared_sites(pipe.unet, Sharing(only_self_level=0.75))  # flipped: every fourth one shares
    assert few == {site.path for site in listed[::4]}
    assert shared_sites(pipe.unet, Sharing(layers=(0, 2))) < everything
    with pytest.raises(InputError, match="16 self-attentions"):
        shared_sites(pipe.unet, Sharing(layers=(16, None)))


def test_the_memory_of_features_is_foreseen(pipe: StableDiffusionPipeline) -> None:
    told = []
    method = StyleAlign(pipe, settings(batch_size=1, features="memory"), [TRAIN])
    list(method.run(TARGETS[:2]))
    for kept in method._references[0]._features.values():  # type: ignore[index]
        told.append(sum(site.k.nbytes + site.v.nbytes for site in kept.sites.values()))
    paths = shared_sites(pipe.unet, Sharing())
    assert told == [feature_bytes(pipe.unet, paths, (4, 16, 16), 2, 4)] * 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0}, {"steps": 2000}, {"guidance": -1.0}, {"eta": 2.0}, {"seed": -1}, {"batch_size": 0},
        {"stride": 0}, {"window": 0}, {"step_fraction": 0.0}, {"image_strength": 0.0}, {"offset": 4}, {"offset": -1},
        {"circular": True}, {"step_start": 4}, {"step_stop": 9}, {"layer_start": -1}, {"layer_stop": 0},
        {"only_self_level": 1.5}, {"style_strength": -0.1}, {"shared_score_shift": float("inf")},
        {"preset": "full_attention", "style_strength": 0.5}, {"preset": "full_attention", "panorama": True},
        {"preset": "nonsense"}, {"inversion_guidance": float("nan")},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(wrong: Dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        settings(**wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"width": 33}, {"layer_stop": 99}, {"panorama": True, "stride": 17}])
def test_settings_that_the_model_cannot_take(pipe: StableDiffusionPipeline, wrong: Dict[str, Any]) -> None:
    with pytest.raises(InputError):
        StyleAlign(pipe, settings(**wrong), [TRAIN])


def test_a_stored_path_is_walked_with_its_offset() -> None:
    path = Trajectory("", "", (9.0, 8.0, 7.0, 6.0), np.arange(5.0).reshape(5, 1, 1, 1), {})
    assert [path.fed(call, 0).item() for call in range(4)] == [0, 1, 2, 3]
    assert [path.fed(call, 2).item() for call in range(4)] == [2, 3, 3, 3]
    assert [path.fed(call, 3).item() for call in range(4)] == [3, 4, 4, 4]
