"""The schedulers under diffusers' names, each a sampler here (`jstyle.diffusion.schedule_config.SCHEDULERS`)."""

from __future__ import annotations

from typing import Any, Optional, Union

from jstyle.diffusion.samplers import INVERSE
from jstyle.diffusion.schedulers.scheduler import Scheduler, SchedulerOutput
from jstyle.errors import InputError
from jstyle.networks.entry import Array
from jstyle.runtime import jt


class DDIMScheduler(Scheduler):
    """`ddim` (arXiv 2010.02502)."""

    def step(  # type: ignore[override]
        self,
        model_output: Array,
        timestep: Any,
        sample: Array,
        eta: float = 0.0,
        use_clipped_model_output: bool = False,
        generator: Any = None,
        variance_noise: Optional[Array] = None,
        return_dict: bool = True,
    ) -> Union[SchedulerOutput, tuple[jt.Var, ...]]:
        """As every scheduler's, with noise where ``eta`` is above 0.

        Raises InputError besides for ``use_clipped_model_output`` where samples are clipped.
        """
        if use_clipped_model_output and self.schedule.config.clip_sample:
            raise InputError("DDIMScheduler: use_clipped_model_output is not supported where clip_sample is on")
        return self._take(model_output, timestep, sample, eta, generator, variance_noise, return_dict)


class DDIMInverseScheduler(Scheduler):
    """`ddim_invert`, from a clean sample to noise, its target convention.

    A network's velocities are read at the time that it was fed, where diffusers reads them at the time before.
    """

    inverse = INVERSE


class DDPMScheduler(Scheduler):
    """`ddpm` (arXiv 2006.11239)."""


class PNDMScheduler(Scheduler):
    """`pndm`, which diffusers calls so with ``skip_prk_steps`` (arXiv 2202.09778).

    A run that begins in the middle takes its first step once, at first order, where diffusers 0.42.1 takes it twice and
    feeds all later times too low.
    """


class LMSDiscreteScheduler(Scheduler):
    """`lms`. A run that begins in the middle weighs the slopes that it has, where diffusers weighs four."""


class EulerDiscreteScheduler(Scheduler):
    """`euler` (arXiv 2206.00364)."""


class EulerAncestralDiscreteScheduler(Scheduler):
    """`euler_a`."""


class HeunDiscreteScheduler(Scheduler):
    """`heun` (arXiv 2206.00364), two calls a step."""

    order = 2


class KDPM2DiscreteScheduler(Scheduler):
    """`kdpm2`, two calls a step."""

    order = 2


class KDPM2AncestralDiscreteScheduler(Scheduler):
    """`kdpm2_a`, two calls a step."""

    order = 2


class DPMSolverMultistepScheduler(Scheduler):
    """`dpmpp_2m`, `dpmpp_3m` or `dpmpp_2m_sde`, as ``solver_order`` and ``algorithm_type`` say (arXiv 2211.01095)."""


class DPMSolverSinglestepScheduler(Scheduler):
    """`dpmpp_2s` (arXiv 2211.01095)."""


class DPMSolverSDEScheduler(Scheduler):
    """`dpmpp_sde`, two calls a step, whose noise is one Brownian path."""

    order = 2


class DEISMultistepScheduler(Scheduler):
    """`deis` (arXiv 2204.13902)."""


class UniPCMultistepScheduler(Scheduler):
    """`unipc` (arXiv 2302.04867)."""
