"""The schedulers under diffusers' names, each a sampler here (`jstyle.diffusion.schedule_config.SCHEDULERS`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Optional, Union

from jstyle.diffusion.samplers import INVERSE
from jstyle.diffusion.samplers.few_step import weigh_boundary
from jstyle.diffusion.schedule import Schedule
from jstyle.diffusion.schedulers.scheduler import Scheduler, SchedulerOutput
from jstyle.errors import InputError
from jstyle.networks.entry import Array, check_times
from jstyle.networks.outputs import Output
from jstyle.runtime import jt
from jstyle.settings.arguments import read_number, read_whole


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
    """`pndm` with ``skip_prk_steps``, else `pndm_rk` (arXiv 2202.09778).

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


class DistilledScheduler(Scheduler):
    """What the schedulers of models that were distilled to few steps share: the times that the distillation visited."""

    def set_timesteps(  # type: ignore[override]
        self,
        num_inference_steps: Optional[int] = None,
        device: Any = None,
        original_inference_steps: Optional[int] = None,
        timesteps: Any = None,
        strength: float = 1.0,
        **others: Any,
    ) -> None:
        """As every scheduler's; ``original_inference_steps`` takes the place of the config's until the next time.

        Raises InputError besides for ``original_inference_steps`` that are none of the training times' number, and for
        a ``strength`` that is not 1: begin with a later timestep instead.
        """
        name = type(self).__name__
        if read_number(f"{name}: strength", strength) != 1:
            raise InputError(f"{name}: set_timesteps has no strength; begin with one of the timesteps")
        visited = self.config.original_inference_steps
        if original_inference_steps is not None:
            asked = read_whole(f"{name}: original_inference_steps", original_inference_steps, 1, len(self))
            visited = self._count_visited(asked)
        self.schedule = Schedule(replace(self.schedule.config, original_inference_steps=visited))
        super().set_timesteps(num_inference_steps, timesteps=timesteps, **others)

    def _count_visited(self, original_inference_steps: int) -> int:
        return original_inference_steps


@dataclass(frozen=True)
class LCMSchedulerOutput(Output):
    """``prev_sample``: the sample after the step. ``denoised``: the clean one of which it was made."""

    prev_sample: jt.Var
    denoised: Optional[jt.Var] = None


class LCMScheduler(DistilledScheduler):
    """`lcm` (arXiv 2310.04378)."""

    def get_scalings_for_boundary_condition_discrete(self, timestep: float) -> tuple[float, float]:
        """The shares of the sample and of the prediction in the denoised one at a training time (`weigh_boundary`).

        Raises InputError for what is no time.
        """
        time = float(check_times(type(self).__name__, timestep, 1)[0])
        return weigh_boundary(time * self.config.timestep_scaling)

    def step(  # type: ignore[override]
        self,
        model_output: Array,
        timestep: Any,
        sample: Array,
        generator: Any = None,
        return_dict: bool = True,
        *,
        variance_noise: Optional[Array] = None,
    ) -> Union[LCMSchedulerOutput, tuple[jt.Var, ...]]:
        """As every scheduler's, with the clean sample as ``denoised``."""
        step = self._take(model_output, timestep, sample, 0.0, generator, variance_noise, return_dict=False)
        result = LCMSchedulerOutput(step[0], step[1])
        return result if return_dict else result.to_tuple()


class TCDScheduler(DistilledScheduler):
    """`tcd` (arXiv 2402.19159).

    As in diffusers, ``original_inference_steps`` given to `set_timesteps` lets it feed any time, not the visited ones.
    """

    def step(  # type: ignore[override]
        self,
        model_output: Array,
        timestep: Any,
        sample: Array,
        eta: float = 0.3,
        generator: Any = None,
        return_dict: bool = True,
        *,
        variance_noise: Optional[Array] = None,
    ) -> Union[SchedulerOutput, tuple[jt.Var, ...]]:
        """As every scheduler's, with noise where ``eta``, the paper's gamma, is above 0."""
        return self._take(model_output, timestep, sample, eta, generator, variance_noise, return_dict)

    def _count_visited(self, original_inference_steps: int) -> int:
        return len(self)
