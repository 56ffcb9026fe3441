"""Samplers: plain functions of (denoiser, x, schedule) that yield one Step per call of the denoiser.

At every level and for every sampler, x (batch, channels, height, width) float32 is in variance-preserving
scale: x = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps.

>>> import jstyle
>>> from jstyle.runtime import jt
>>> pipe = jstyle.StableDiffusionPipeline.from_pretrained("tiny")
>>> denoiser = pipe.denoiser("a house by the sea", guidance_scale=3.0)
>>> x = jt.randn((1, *pipe.latent_shape(128, 128)))
>>> for step in jstyle.samplers.ddim(denoiser, x, pipe.schedule, 4):
...     x = step.x
>>> pipe.decode_latents(x).shape
(1, 3, 128, 128)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from jstyle.diffusion.samplers.ddim import INVERSIONS, ddim, ddim_invert, ddpm, training_levels
from jstyle.diffusion.samplers.multistep import dpmpp_2m, dpmpp_levels, euler, lms, pndm, sigma_levels
from jstyle.diffusion.samplers.step import AfterStep, Denoiser, Noise, Step
from jstyle.diffusion.schedule import Level, Schedule
from jstyle.errors import InputError
from jstyle.runtime import jt

__all__ = [
    "INVERSIONS",
    "SAMPLERS",
    "AfterStep",
    "Denoiser",
    "Noise",
    "Sampler",
    "Step",
    "ddim",
    "ddim_invert",
    "ddpm",
    "dpmpp_2m",
    "euler",
    "lms",
    "pndm",
    "sampler",
]


@dataclass(frozen=True)
class Sampler:
    """A sampling function and what a pipeline must know of it.

    `levels(schedule, steps, spacing)` are the levels fed, without repeats. `start` is an index into them: in
    image-to-image the image is noised to `levels[start]`. `noise` says when fresh noise is added: "never",
    "always", or "eta" where eta decides.
    """

    name: str
    run: Callable[..., Iterator[Step]]
    levels: Callable[..., list[Level]] = training_levels
    noise: str = "never"

    def __call__(
        self,
        denoiser: Denoiser,
        x: jt.Var,
        schedule: Schedule,
        steps: int,
        *,
        start: int = 0,
        spacing: Optional[str] = None,
        eta: float = 0.0,
        noise: Optional[Noise] = None,
        after_step: Optional[AfterStep] = None,
    ) -> Iterator[Step]:
        """Run the sampler. Raises InputError for an eta that it does not have, and where the function does."""
        options: dict[str, Any] = {}
        if self.noise == "eta":
            options["eta"] = eta
        elif eta:
            raise InputError(f"eta is a setting of ddim alone; leave it at 0 for {self.name}")
        if self.noise != "never":
            options["noise"] = noise
        return self.run(denoiser, x, schedule, steps, start=start, spacing=spacing, after_step=after_step, **options)

    def draws_noise(self, eta: float = 0.0) -> bool:
        """Whether a run asks for fresh noise."""
        return self.noise == "always" or (self.noise == "eta" and eta > 0)

    def calls(self, steps: int, start: int = 0) -> int:
        """How many Steps a run yields, one per call of the denoiser: PNDM takes its first step twice."""
        return steps - start + (self.run is pndm and steps - start > 1)

    def initial_scale(self, schedule: Schedule, steps: int, spacing: Optional[str] = None) -> float:
        """The factor by which unit normal noise becomes the first x (diffusers' init_noise_sigma).

        With linspace and trailing spacing, lms and euler start from sigma eps, without x0's share of the power.
        """
        if self.levels is not sigma_levels or schedule.spacing(spacing, "linspace") == "leading":
            return 1.0
        return (1 - self.levels(schedule, steps, spacing)[0].alpha_bar) ** 0.5


SAMPLERS: Mapping[str, Sampler] = {
    sampler.name: sampler
    for sampler in (
        Sampler("ddim", ddim, noise="eta"),
        Sampler("ddpm", ddpm, noise="always"),
        Sampler("pndm", pndm),
        Sampler("lms", lms, sigma_levels),
        Sampler("euler", euler, sigma_levels),
        Sampler("dpmpp_2m", dpmpp_2m, dpmpp_levels),
    )
}


def sampler(name: str) -> Sampler:
    """The sampler of that name. Raises InputError, which lists all names, where there is none."""
    if name not in SAMPLERS:
        raise InputError(f"sampler {name!r} is not known; it must be one of {', '.join(SAMPLERS)}")
    return SAMPLERS[name]
