"""References from texts, pictures and files, one or several."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.samplers.step import transfer
from jstyle.diffusion.schedule import Level, Prediction
from jstyle.errors import InputError
from jstyle.events import exhaust
from jstyle.methods.sets import ImageReference, TextReference
from jstyle.pictures import images
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from style_align.reference import Trajectory, invert, load_trajectory
from style_align.run import AlignedSet, Target
from tests.parity.networks import relative_error
from tests.style_align.small import CHUNK_TOLERANCE, TARGETS, TRAIN, latents, picture, settings, trajectory


def test_a_reference_that_shares_with_itself_stays(pipe: StableDiffusionPipeline) -> None:
    """A target of the reference's own text and noise: sharing with its equal changes nothing."""
    found = latents(pipe, [Target(TRAIN.prompt, TRAIN.seed)])
    assert relative_error(found[0], found[-1]) < CHUNK_TOLERANCE


def test_an_inverted_picture_comes_back_and_its_file_serves_again(
    pipe: StableDiffusionPipeline, tmp_path: Path
) -> None:
    given = ImageReference("a train", picture(3))
    aligned = AlignedSet(pipe, settings(), [given])
    first = latents(pipe, references=[given])
    file = tmp_path / "deep" / "train.safetensors"
    exhaust(aligned.on_latents.make_trajectory()).save(file)
    again = latents(pipe, references=[load_trajectory(file)])
    assert all(np.array_equal(first[i], again[i]) for i in first)
    kept = images.to_array(exhaust(aligned.make_references()))
    clean = pipe.encode_images(jt.array(images.to_array([images.fit(picture(3), 64, 64)])))
    assert np.abs(kept - np.clip(pipe.decode_latents(clean), -1, 1)).max() <= 1 / 127.5
    generated = trajectory(pipe, TRAIN)
    generated.save(file)
    assert not load_trajectory(file).inverted
    from_file, direct = latents(pipe, references=[load_trajectory(file)]), latents(pipe)
    assert all(relative_error(from_file[i], direct[i]) < 1e-5 for i in direct)


def test_further_calls_of_an_inversion_bring_the_path_to_where_sampling_stays_on_it(
    pipe: StableDiffusionPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the levels of a sampler that are no training times too; the data are N(0, 0.8^2), exactly denoised."""

    def denoise(denoiser: GuidedDenoiser, x: jt.Var, level: Level, step: int) -> Prediction:
        denoiser.evaluations += 1
        power = level.alpha_bar * 0.64 + 1 - level.alpha_bar
        return Prediction(level.alpha_bar**0.5 * 0.64 / power * x, (1 - level.alpha_bar) ** 0.5 / power * x)

    monkeypatch.setattr(GuidedDenoiser, "__call__", denoise)
    levels, denoiser = pipe.sampler("euler").levels(pipe.schedule, 10), pipe.denoiser("")
    x, losses = jt.array(np.random.default_rng(0).standard_normal((1, 4, 8, 8)).astype(np.float32)), []
    for calls in (0, 1, 2):
        before = denoiser.evaluations
        _, path = exhaust(invert(denoiser, x, levels, pipe.schedule, calls))
        assert denoiser.evaluations - before == 10 * (1 + calls)
        losses.append(0.0)
        for start, level, here, reached in zip(path, levels, path[1:], [*levels[1:], pipe.schedule.level(-1)]):
            eps = denoise(denoiser, jt.array(start), level, 0).eps
            losses[-1] += relative_error(transfer(jt.array(start), eps, level.alpha_bar, reached.alpha_bar)[0], here)
    assert losses[2] < losses[1] / 3 < losses[0] / 9


def test_a_guided_inversion_has_no_further_calls() -> None:
    with pytest.raises(ValueError, match="inversion_guidance 1"):
        settings(fixed_point=1, inversion_guidance=2.0)


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
    one, other = (trajectory(pipe, TextReference("a", seed)) for seed in (1, 2))
    file = tmp_path / "kept.safetensors"
    one.save(file, overwrite=False)
    one.save(file, overwrite=False)
    before = file.read_bytes()
    with pytest.raises(InputError, match="another reference; --overwrite"):
        other.save(file, overwrite=False)
    assert file.read_bytes() == before
    other.save(file, overwrite=True)
    assert np.array_equal(load_trajectory(file).latents, other.latents)


def test_stored_references_that_do_not_fit(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    stored = trajectory(pipe, TRAIN)
    other = replace(stored, about={**stored.about, "model_hash": "0"})
    with pytest.raises(InputError, match="other weights"):
        AlignedSet(pipe, settings(), [other])
    with pytest.raises(InputError, match="steps = 4, not 5; use --steps 4"):
        AlignedSet(pipe, settings(steps=5), [stored])
    with pytest.raises(InputError, match="sampler = ddim"):
        AlignedSet(pipe, settings(sampler="euler"), [stored])
    (tmp_path / "none").write_bytes(b"no reference")
    for name, said in (("none", "is no saved reference"), ("missing", "there is no saved reference")):
        with pytest.raises(InputError, match=said):
            load_trajectory(tmp_path / name)


def test_several_references_are_mixed(pipe: StableDiffusionPipeline, plain_set: dict[int, np.ndarray]) -> None:
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
            AlignedSet(pipe, settings(), two, weights)


def test_a_stored_path_is_walked_with_its_offset() -> None:
    path = Trajectory("", "", (9.0, 8.0, 7.0, 6.0), np.arange(5.0).reshape(5, 1, 1, 1), {})
    assert [path.fed(call, 0).item() for call in range(4)] == [0, 1, 2, 3]
    assert [path.fed(call, 2).item() for call in range(4)] == [2, 3, 3, 3]
    assert [path.fed(call, 3).item() for call in range(4)] == [3, 4, 4, 4]
