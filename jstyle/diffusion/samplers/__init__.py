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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Optional

from jstyle.diffusion.samplers.ddim import INVERSIONS, ddim, ddim_invert, ddpm, invert_step
from jstyle.diffusion.samplers.few_step import distilled_levels, lcm, tcd
from jstyle.diffusion.samplers.in_sigma import (
    Plan,
    dpmpp_sde,
    euler,
    euler_a,
    heun,
    kdpm2,
    kdpm2_a,
    list_calls,
    plan_dpmpp_sde,
    plan_heun,
    plan_kdpm2,
    plan_kdpm2_a,
)
from jstyle.diffusion.samplers.levels import (
    even_solver_levels,
    inversion_levels,
    midpoint_levels,
    sigma_levels,
    solver_levels,
    training_levels,
)
from jstyle.diffusion.samplers.multistep import list_runge_kutta, lms, pndm, pndm_rk, repeat_second
from jstyle.diffusion.samplers.solvers import deis, dpmpp_2m, dpmpp_2m_sde, dpmpp_2s, dpmpp_3m, unipc
from jstyle.diffusion.samplers.step import AfterStep, Denoiser, Noise, Step, Steps
from jstyle.diffusion.schedule import Level, Schedule
from jstyle.diffusion.schedule_config import SIGMAS
from jstyle.errors import InputError
from jstyle.runtime import jt
from jstyle.settings.messages import show
from jstyle.settings.vocabulary import BY_TIMES

__all__ = [
    "INVERSE",
    "INVERSIONS",
    "SAMPLERS",
    "AfterStep",
    "Denoiser",
    "Noise",
    "Sampler",
    "Step",
    "Steps",
    "ddim",
    "ddim_invert",
    "ddpm",
    "deis",
    "dpmpp_2m",
    "dpmpp_2m_sde",
    "dpmpp_2s",
    "dpmpp_3m",
    "dpmpp_sde",
    "euler",
    "euler_a",
    "heun",
    "invert_step",
    "kdpm2",
    "kdpm2_a",
    "lcm",
    "lms",
    "pndm",
    "pndm_rk",
    "sampler",
    "tcd",
    "unipc",
]


@dataclass(frozen=True)
class Sampler:
    """A sampling function and what a pipeline must know of it.

    `feed(schedule, steps, spacing)` are the levels fed, without repeats and without those between them. `noise` says
    when fresh noise is added: "never", "always", or "eta" where eta decides. The denoiser is called twice in every step
    but the last where there is a `plan` of it, and as `begin` lists where the first steps take more calls. `sigmas` is
    the curve that the levels follow, by default the checkpoint's, `chosen` are levels that take their place.
    """

    name: str
    run: Callable[..., Steps]
    feed: Callable[..., list[Level]] = training_levels
    noise: str = "never"
    plan: Optional[Callable[[Schedule], Plan]] = None
    begin: Optional[Callable[[Schedule, Sequence[Level], int], list[Level]]] = None
    sigmas: Optional[str] = None
    chosen: tuple[Level, ...] = ()

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
    ) -> Steps:
        """Run the sampler. Raises InputError for an eta that it does not have, and where the function does."""
        options: dict[str, Any] = {}
        if self.noise == "eta":
            options["eta"] = eta
        elif eta:
            with_eta = " and ".join(name for name, sampler in SAMPLERS.items() if sampler.noise == "eta")
            raise InputError(f"eta is a setting of {with_eta} alone; leave it at 0 for {self.name}")
        if self.noise != "never":
            options["noise"] = noise
        along = self._bend(schedule)
        return self.run(denoiser, x, along, steps, start=start, spacing=spacing, after_step=after_step, **options)

    @property
    def in_sigma(self) -> bool:
        """Whether it steps along sigma; diffusers then holds x / sqrt(alpha_bar) = x0 + sigma eps."""
        return self.feed in (sigma_levels, midpoint_levels)

    def levels(self, schedule: Schedule, steps: int, spacing: Optional[str] = None) -> list[Level]:
        """The levels fed, noisiest first. In image-to-image the image is noised to one of them, that of the start."""
        return self.feed(self._bend(schedule), steps, spacing)

    def draws_noise(self, eta: float = 0.0) -> bool:
        """Whether a run asks for fresh noise."""
        return self.noise == "always" or (self.noise == "eta" and eta > 0)

    def list_calls(
        self, schedule: Schedule, steps: int, *, start: int = 0, spacing: Optional[str] = None
    ) -> list[Level]:
        """The level fed in every call of a run, each of which yields a Step."""
        levels = self.levels(schedule, steps, spacing)[start:]
        if self.plan is not None:
            return list_calls(levels, self.plan(self._bend(schedule)))
        return levels if self.begin is None else self.begin(schedule, levels, steps)

    def initial_scale(self, schedule: Schedule, steps: int, spacing: Optional[str] = None) -> float:
        """The factor by which unit normal noise becomes the first x (diffusers' init_noise_sigma).

        With linspace and trailing spacing, euler and its relatives start from sigma eps, without x0's share of the
        power.
        """
        if not self.in_sigma or schedule.spacing(spacing, "linspace") == "leading":
            return 1.0
        return (1 - self.levels(schedule, steps, spacing)[0].alpha_bar) ** 0.5

    def follow(self, sigmas: Optional[str]) -> Sampler:
        """The same sampler over levels along a curve of sigmas; None leaves the choice to the checkpoint.

        Raises InputError for a curve that is not known, and for a sampler that goes by training times.
        """
        if sigmas is not None and sigmas not in SIGMAS:
            raise InputError(f"sigmas is {show(sigmas)}; it must be one of {', '.join(SIGMAS)}, or a list of numbers")
        if sigmas is not None and self.name in BY_TIMES:
            bent = ", ".join(name for name in SAMPLERS if name not in BY_TIMES)
            raise InputError(f"{self.name} goes by training times, not by sigmas; {sigmas} sigmas are for {bent}")
        return replace(self, sigmas=sigmas)

    def choose(self, levels: Sequence[Level]) -> Sampler:
        """The same sampler over these levels, noisiest first; a run has as many steps.

        Raises InputError for a sampler that knows no other levels than those of its spacing, as in diffusers.
        """
        if self.name in _EVENLY_SPACED:
            others = ", ".join(name for name in SAMPLERS if name not in _EVENLY_SPACED)
            raise InputError(f"{self.name} takes no list of timesteps or sigmas; name another sampler ({others})")
        return replace(self, chosen=tuple(levels))

    @property
    def order(self) -> int:
        """The calls of the denoiser that a step takes, the first and the last one's apart."""
        return 1 if self.plan is None else 2

    def _bend(self, schedule: Schedule) -> Schedule:
        return schedule.along(self.sigmas).at(self.chosen)


SAMPLERS: Mapping[str, Sampler] = {
    sampler.name: sampler
    for sampler in (
        Sampler("ddim", ddim, noise="eta"),
        Sampler("ddpm", ddpm, noise="always"),
        Sampler("pndm", pndm, begin=repeat_second),
        Sampler("pndm_rk", pndm_rk, begin=list_runge_kutta),
        Sampler("lms", lms, sigma_levels),
        Sampler("euler", euler, sigma_levels),
        Sampler("euler_a", euler_a, sigma_levels, noise="always"),
        Sampler("heun", heun, sigma_levels, plan=plan_heun),
        Sampler("kdpm2", kdpm2, midpoint_levels, plan=plan_kdpm2),
        Sampler("kdpm2_a", kdpm2_a, midpoint_levels, noise="always", plan=plan_kdpm2_a),
        Sampler("dpmpp_2m", dpmpp_2m, solver_levels),
        Sampler("dpmpp_3m", dpmpp_3m, solver_levels),
        Sampler("dpmpp_2s", dpmpp_2s, even_solver_levels),
        Sampler("dpmpp_2m_sde", dpmpp_2m_sde, solver_levels, noise="always"),
        Sampler("dpmpp_sde", dpmpp_sde, sigma_levels, noise="always", plan=plan_dpmpp_sde),
        Sampler("deis", deis, solver_levels),
        Sampler("unipc", unipc, solver_levels),
        Sampler("lcm", lcm, distilled_levels, noise="always"),
        Sampler("tcd", tcd, distilled_levels, noise="eta"),
    )
}

# ddim goes down by a fixed number of times, pndm's weights are those of equal steps.
_EVENLY_SPACED = ("ddim", "ddim_invert", "pndm", "pndm_rk")


INVERSE = Sampler("ddim_invert", partial(ddim_invert, convention="target"), inversion_levels)
"""DDIM backwards, as diffusers has it: the network is fed the level that a step reaches."""


def sampler(name: str) -> Sampler:
    """The sampler of that name. Raises InputError, which lists all names, where there is none."""
    if name not in SAMPLERS:
        raise InputError(f"sampler {name!r} is not known; it must be one of {', '.join(SAMPLERS)}")
    return SAMPLERS[name]
