"""InST on latents: stochastic inversion (arXiv 2211.13203, section 3.3), and the stylisation that starts from it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Optional

from jstyle.diffusion.adain import adain
from jstyle.diffusion.noise import NoiseSource
from jstyle.diffusion.samplers import Denoiser, ddim
from jstyle.diffusion.schedule import Level, Schedule, diffuse
from jstyle.events import Evaluated
from jstyle.methods.inst.settings import InstSettings
from jstyle.pipelines.cost import Meter
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.pipelines.starts import first_step
from jstyle.runtime import jt

ADAIN_EPS = 1e-5  # as the paper's code, so that a channel of one value divides


def noised_level(schedule: Schedule, strength: float) -> Level:
    """The level at t = strength * T, at most the last training time."""
    total = len(schedule.alpha_bars)
    return schedule.level(min(round(strength * total), total - 1))


def stochastic_inversion(denoiser: Denoiser, clean: jt.Var, unit: jt.Var, level: Level) -> jt.Var:
    """The noise that the model sees in a content, (batch, channels, height, width).

    ``clean`` is noised to ``level`` by ``unit``, standard normal of its shape; what the model then takes for noise
    differs from ``unit`` where the content shows through, and gives it back when it is denoised.
    """
    return denoiser(diffuse(clean, unit, level.alpha_bar), level, -1).eps


def stylise(
    pipe: StableDiffusionPipeline,
    settings: InstSettings,
    clean: jt.Var,
    token: str,
    reference: Optional[jt.Var] = None,
) -> Generator[Evaluated, None, jt.Var]:
    """Contents in the style of a word that the pipeline knows, clean latents (batch, channels, height, width).

    Args:
        clean: the contents' latents, of the same shape.
        token: the word.
        reference: the latent (1, channels, height, width) whose mean and deviation the contents are given first.
    """
    count, shape = clean.shape[0], tuple(clean.shape[1:])
    start = first_step(settings.steps, settings.strength)
    texts = [settings.prompt.replace("{token}", token)] * count
    with jt.no_grad():
        if reference is not None:
            clean = adain(clean, reference, ADAIN_EPS)
        noise = NoiseSource([settings.seed] * count).normal("stochastic inversion", shape)
        if settings.inversion == "stochastic":
            denoiser = pipe.denoiser(texts)
            meter = Meter("inversion", denoiser)
            noise = stochastic_inversion(denoiser, clean, noise, noised_level(pipe.schedule, settings.strength))
            noise.sync()
            yield meter.read()
        x = diffuse(clean, noise, pipe.schedule.levels(settings.steps)[start].alpha_bar)
        denoiser = pipe.denoiser(texts, "", settings.guidance)
        meter = Meter("stylisation", denoiser)
        for step in ddim(denoiser, x, pipe.schedule, settings.steps, start=start):
            x = step.x
            yield meter.read()
    return x
