"""The transfer against its formulas in float64, and what it leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List

import numpy as np
import pytest

from jstyle import StableDiffusionPipeline
from jstyle.diffusion.noise import NoiseSource
from jstyle.diffusion.schedule import Level, Prediction, Schedule, ScheduleConfig, to_prediction
from jstyle.errors import InputError
from jstyle.methods.inst.method import noised_level, stochastic_inversion
from jstyle.methods.inst.settings import InstSettings
from jstyle.methods.inst.styles import Style, opened
from jstyle.methods.inst.transfer import Transfer
from jstyle.pictures import images
from jstyle.runtime import jt
from tests.methods.inst.small import picture
from tests.parity.networks import relative_error

CONTENTS = [picture(seed) for seed in (5, 6, 7)]
ALPHA_BARS = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)


def schedule(prediction: str = "epsilon") -> Schedule:
    return Schedule(ScheduleConfig("ddim", 1000, 0.00085, 0.012, "scaled_linear", None, prediction, "leading", 1))


class Made:
    """A denoiser whose output is a formula of x, the time and its text's guidance."""

    def __init__(self, prediction: str, guidance: float = 1.0) -> None:
        self.prediction, self.guidance = prediction, guidance

    def output(self, x: Any, t: float) -> Any:
        return (0.3 + 0.01 * self.guidance) * x + 0.2 * x**2 / (1 + x**2) + 0.1 * t / 1000

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        return to_prediction(self.output(x, level.t), x, level.alpha_bar, self.prediction)

    def eps(self, x: np.ndarray, t: int) -> np.ndarray:
        """In float64, by the definitions of eps and v (arXiv 2202.00512, appendix D)."""
        out, ab = self.output(x, t), ALPHA_BARS[t]
        return out if self.prediction == "epsilon" else np.sqrt(ab) * out + np.sqrt(1 - ab) * x


def inversion_in_float64(made: Made, clean: np.ndarray, unit: np.ndarray, t: int) -> np.ndarray:
    ab = ALPHA_BARS[t]
    return made.eps(np.sqrt(ab) * clean + np.sqrt(1 - ab) * unit, t)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(("strength", "t"), [(0.7, 700), (0.57, 570), (0.001, 1), (1.0, 999)])
def test_stochastic_inversion(prediction: str, strength: float, t: int) -> None:
    rng = np.random.default_rng(0)
    clean, unit = rng.standard_normal((2, 2, 4, 8, 8)).astype(np.float32)
    level, made = noised_level(schedule(prediction), strength), Made(prediction)
    assert level.t == t
    found = stochastic_inversion(made, jt.array(clean), jt.array(unit), level)
    assert relative_error(found, inversion_in_float64(made, np.float64(clean), np.float64(unit), t)) < 1e-6


@pytest.fixture(scope="module")
def pipe(model: Path) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(model))


@pytest.fixture(scope="module")
def style(finished: Path) -> Style:
    return opened(finished.parent, finished.parent)


def settings(**changes: Any) -> InstSettings:
    return InstSettings(**{"steps": 5, "width": 32, "height": 32, **changes})


@pytest.mark.parametrize("with_adain", [True, False])
@pytest.mark.parametrize("inversion", ["stochastic", "none"])
def test_the_whole_of_it(
    pipe: StableDiffusionPipeline, style: Style, with_adain: bool, inversion: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AdaIN; inversion without guidance at t = 700; noise at the first of the last three of five steps; DDIM."""
    asked: List[tuple] = []

    def denoiser(texts: List[str], negative: Any = None, guidance: float = 1.0) -> Made:
        asked.append((tuple(texts), negative, guidance))
        return Made("v_prediction", guidance)

    monkeypatch.setattr(pipe, "denoiser", denoiser)
    transfer = Transfer(pipe, settings(inversion=inversion, prompt="a {token}"))
    arrays = images.to_array([images.fit(one, 32, 32) for one in (*CONTENTS[:2], style.picture)])
    latents = np.float64(pipe.encode_images(jt.array(arrays)).numpy())
    reference = jt.array(np.float32(latents[2:])) if with_adain else None
    found = transfer.stylise(jt.array(np.float32(latents[:2])), "<style>", reference)
    clean = latents[:2]
    if with_adain:
        mean, deviation = (getattr(clean, name)(axis=(2, 3), keepdims=True) for name in ("mean", "std"))
        ours, theirs = deviation * np.sqrt(64 / 63), latents[2].std(axis=(1, 2), ddof=1)
        clean = (clean - mean) / ours * theirs[:, None, None] + latents[2].mean(axis=(1, 2))[:, None, None]
    noise = np.float64(NoiseSource([42, 42]).normal("stochastic inversion", (4, 8, 8)).numpy())
    if inversion == "stochastic":
        noise = inversion_in_float64(Made("v_prediction"), clean, noise, 700)
    x = np.sqrt(ALPHA_BARS[401]) * clean + np.sqrt(1 - ALPHA_BARS[401]) * noise
    for t, following in ((401, 201), (201, 1), (1, None)):
        eps, ab = Made("v_prediction", 10.0).eps(x, t), ALPHA_BARS[t]
        x0 = (x - np.sqrt(1 - ab) * eps) / np.sqrt(ab)
        ab = ALPHA_BARS[0 if following is None else following]  # the schedule ends at alpha_bar of time 0
        x = np.sqrt(ab) * x0 + np.sqrt(1 - ab) * eps
    assert relative_error(found, x) < 2e-5
    texts = ("a <style>",) * 2
    assert asked == [(texts, None, 1.0)] * (inversion == "stochastic") + [(texts, "", 10.0)]


def run(pipe: StableDiffusionPipeline, style: Style, wanted: Any = None, **changes: Any) -> dict:
    done = Transfer(pipe, settings(**changes)).run(CONTENTS, [style], wanted)
    return {one.content: images.to_array([one.image]) for one in done if one.image is not None}


def test_a_picture_does_not_depend_on_its_batch(pipe: StableDiffusionPipeline, style: Style) -> None:
    alone, together = run(pipe, style), run(pipe, style, batch_size=3)
    assert sorted(alone) == [0, 1, 2] and np.array_equal(run(pipe, style, [(2, 0)])[2], alone[2])
    for content, image in alone.items():
        assert np.abs(together[content] - image).max() <= 2 / 127.5


def test_every_option_changes_the_result(pipe: StableDiffusionPipeline, style: Style) -> None:
    plain = run(pipe, style, [(0, 0)])[0]
    for change in (
        {"strength": 0.9}, {"steps": 7}, {"guidance": 3.0}, {"prompt": "{token} at night"}, {"adain": False},
        {"inversion": "none"}, {"seed": 1},
    ):  # fmt: skip
        assert not np.array_equal(run(pipe, style, [(0, 0)], **change)[0], plain), change
    assert run(pipe, style, [(0, 0)], width=48, height=16)[0].shape == (1, 3, 16, 48)


def test_nothing_is_left_on_the_pipeline(pipe: StableDiffusionPipeline, style: Style) -> None:
    """After the end, and in the middle, between two pictures."""
    own, tokenizer = pipe.model_hash, pipe.tokenizer
    table = pipe.text_encoder.text_model.embeddings.token_embedding
    for count in (1, 3):
        steps = Transfer(pipe, settings()).run(CONTENTS, [style])
        for _ in range(count):
            next(steps)
        assert pipe.model_hash == own and pipe.tokenizer is tokenizer and not pipe.vocabulary.vectors
        assert pipe.text_encoder.text_model.embeddings.token_embedding is table
    with pytest.raises(RuntimeError):
        broken = Transfer(pipe, settings(), progress=lambda stage, pictures: (_ for _ in ()).throw(RuntimeError()))
        next(broken.run(CONTENTS, [style]))
    assert pipe.tokenizer is tokenizer and not pipe.vocabulary.vectors


def test_progress_comes_to_what_was_planned(pipe: StableDiffusionPipeline, style: Style) -> None:
    told: List[int] = []
    for change in ({}, {"inversion": "none"}):
        transfer = Transfer(pipe, settings(batch_size=2, **change), lambda stage, pictures: told.append(pictures))
        assert len(list(transfer.run(CONTENTS, [style]))) == 3
        assert sum(told) == transfer.calls_planned([(0, 0), (1, 0), (2, 0)])
        told.clear()


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0}, {"steps": 2000}, {"strength": 0.0}, {"strength": 1.1}, {"steps": 2, "strength": 0.3},
        {"guidance": float("nan")}, {"prompt": "a painting"}, {"seed": -1}, {"batch_size": 0},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(wrong: dict) -> None:
    with pytest.raises(ValueError, match="must"):
        InstSettings(**wrong)


def test_a_size_that_the_model_cannot_take(pipe: StableDiffusionPipeline) -> None:
    with pytest.raises(InputError, match="multiple of"):
        Transfer(pipe, settings(width=33))
