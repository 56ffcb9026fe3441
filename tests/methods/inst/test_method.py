"""InST on latents against its formulas in float64."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jstyle import StableDiffusionPipeline
from jstyle.diffusion.noise import NoiseSource
from jstyle.diffusion.schedule import Level, Prediction, Schedule, to_prediction
from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.events import Evaluated
from jstyle.methods.inst.method import noised_level, stochastic_inversion, stylise
from jstyle.methods.inst.settings import InstSettings
from jstyle.pictures import images
from jstyle.runtime import jt
from tests.methods.inst.small import picture
from tests.parity.networks import relative_error

ALPHA_BARS = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)


def schedule(prediction: str = "epsilon") -> Schedule:
    return Schedule(ScheduleConfig("ddim", 1000, 0.00085, 0.012, "scaled_linear", None, prediction, "leading", 1))


class Made:
    """A denoiser whose output is a formula of x, the time and its text's guidance."""

    def __init__(self, prediction: str, guidance: float = 1.0) -> None:
        self.prediction, self.guidance = prediction, guidance
        self.evaluations = 0

    def output(self, x: Any, t: float) -> Any:
        return (0.3 + 0.01 * self.guidance) * x + 0.2 * x**2 / (1 + x**2) + 0.1 * t / 1000

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        self.evaluations += x.shape[0]
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
    assert (
        relative_error(
            found, inversion_in_float64(made, np.asarray(clean, np.float64), np.asarray(unit, np.float64), t)
        )
        < 1e-6
    )


@pytest.fixture(scope="module")
def pipe(model: Path) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(model))


def finish(steps: Generator[Evaluated, None, jt.Var]) -> tuple[list[Evaluated], jt.Var]:
    """What is told, and the result."""
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return events, end.value


@pytest.mark.parametrize("with_adain", [True, False])
@pytest.mark.parametrize("inversion", ["stochastic", "none"])
def test_the_whole_of_it(
    pipe: StableDiffusionPipeline, with_adain: bool, inversion: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AdaIN; inversion without guidance at t = 700; noise at the first of the last three of five steps; DDIM."""
    asked: list[tuple] = []

    def denoiser(texts: list[str], negative: Any = None, guidance: float = 1.0) -> Made:
        asked.append((tuple(texts), negative, guidance))
        return Made("v_prediction", guidance)

    monkeypatch.setattr(pipe, "denoiser", denoiser)
    settings = InstSettings(steps=5, inversion=inversion, prompt="a {token}")
    arrays = images.to_array([images.fit(picture(seed), 32, 32) for seed in (5, 6, 1)])
    latents = np.asarray(pipe.encode_images(jt.array(arrays)).numpy(), np.float64)
    reference = jt.array(np.float32(latents[2:])) if with_adain else None
    events, found = finish(stylise(pipe, settings, jt.array(np.float32(latents[:2])), "<style>", reference))
    clean = latents[:2]
    if with_adain:
        mean, deviation = (getattr(clean, name)(axis=(2, 3), keepdims=True) for name in ("mean", "std"))
        ours, theirs = deviation * np.sqrt(64 / 63), latents[2].std(axis=(1, 2), ddof=1)
        clean = (clean - mean) / ours * theirs[:, None, None] + latents[2].mean(axis=(1, 2))[:, None, None]
    noise = np.asarray(NoiseSource([42, 42]).normal("stochastic inversion", (4, 8, 8)).numpy(), np.float64)
    if inversion == "stochastic":
        noise = inversion_in_float64(Made("v_prediction"), clean, noise, 700)
    x = np.sqrt(ALPHA_BARS[401]) * clean + np.sqrt(1 - ALPHA_BARS[401]) * noise
    for t, following in ((401, 201), (201, 1), (1, None)):
        eps, ab = Made("v_prediction", 10.0).eps(x, t), ALPHA_BARS[t]
        x0 = (x - np.sqrt(1 - ab) * eps) / np.sqrt(ab)
        ab = ALPHA_BARS[0 if following is None else following]  # the schedule ends at alpha_bar of time 0
        x = np.sqrt(ab) * x0 + np.sqrt(1 - ab) * eps
    assert relative_error(found, x) < 2e-5
    texts, inverts = ("a <style>",) * 2, inversion == "stochastic"
    assert asked == [(texts, None, 1.0)] * inverts + [(texts, "", 10.0)]
    assert events == [Evaluated("inversion", 2)] * inverts + [Evaluated("stylisation", 2)] * 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0}, {"steps": 2000}, {"strength": 0.0}, {"strength": 1.1}, {"steps": 2, "strength": 0.3},
        {"guidance": float("nan")}, {"prompt": "a painting"}, {"seed": -2}, {"batch_size": 0},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(wrong: dict) -> None:
    with pytest.raises(ValueError, match="must"):
        InstSettings(**wrong)
