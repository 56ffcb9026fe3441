"""A scheduler as scripts for diffusers use it: a checkpoint's noise levels and a sampler that is taken step by step.

Nothing is computed here: levels are `Schedule`'s, steps the samplers'. Random numbers are Jittor's and NumPy's, so what
draws noise differs from PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Optional, Union

import numpy as np

from jstyle.diffusion.noise import name_step
from jstyle.diffusion.samplers import SAMPLERS, Sampler, pndm
from jstyle.diffusion.samplers.levels import find_levels, sigma
from jstyle.diffusion.schedule import Level, Prediction, diffuse, from_prediction, keep_some_signal
from jstyle.diffusion.schedulers.config import SchedulerConfig
from jstyle.diffusion.schedulers.configured import ConfiguredScheduler
from jstyle.diffusion.schedulers.driven import DrivenRun
from jstyle.errors import InputError
from jstyle.networks.entry import Array, check_same_shape, check_times, read_finite, read_numbers
from jstyle.networks.outputs import Output
from jstyle.networks.random_numbers import draw_normal
from jstyle.runtime import jt
from jstyle.settings.arguments import list_arguments, read_share, refuse_unknown
from jstyle.settings.leaves import unwrap_numpy
from jstyle.settings.vocabulary import BY_TIMES

_STATELESS = ("ddim", "ddim_invert", "ddpm", "euler", "euler_a", "lcm", "tcd")
"""Samplers whose steps remember nothing, so that they may be taken in any order."""
# Arguments of diffusers' `step` for noise that no sampler here adds, and the values that leave it out.
_WITHOUT_EFFECT: Mapping[str, Any] = {"s_churn": 0.0, "s_tmin": 0.0, "s_tmax": float("inf"), "s_noise": 1.0, "order": 4}
_UNSET = ("mu", "num_train_timesteps")
"""Arguments of diffusers' `set_timesteps` that nothing here has, and that may be None."""


@dataclass(frozen=True)
class SchedulerOutput(Output):
    """``prev_sample``: the sample after the step. ``pred_original_sample``: the clean one at which it aimed."""

    prev_sample: jt.Var
    pred_original_sample: Optional[jt.Var] = None


class Scheduler(ConfiguredScheduler):
    """What the classes under diffusers' names share.

    Samples are in diffusers' scale, which for samplers along sigma is x0 + sigma eps.
    """

    order: ClassVar[int] = 1
    inverse: ClassVar[Optional[Sampler]] = None
    """The sampler, where it is not one of those in the table."""

    def _build(self, config: SchedulerConfig, source: str) -> None:
        super()._build(config, source)
        self.sampler = self._default = self.inverse or SAMPLERS[self.schedule.config.choose_sampler()]
        self.num_inference_steps: Optional[int] = None
        self._spacing: Optional[str] = None
        self._run: Optional[DrivenRun] = None
        self._levels: list[Level] = [self.schedule.level(t) for t in range(len(self))][::-1]
        self._calls = self._levels

    @property
    def compatibles(self) -> list[type]:
        """The schedulers that can take the place of this one: all of them, as any reads any other's ``config``."""
        groups = Scheduler.__subclasses__()
        return [kind for group in groups for kind in group.__subclasses__() or [group]]

    def set_timesteps(
        self,
        num_inference_steps: Optional[int] = None,
        device: Any = None,
        timesteps: Any = None,
        sigmas: Any = None,
        **others: Any,
    ) -> None:
        """Begin anew with so many steps, or with the levels at these times or sigmas (`find_levels`).

        Where it is computed is Jittor's to say, so ``device`` changes nothing. Raises InputError for a number that is
        out of range, and for lists where the sampler takes none.
        """
        name = type(self).__name__
        refuse_unknown(f"{name}.set_timesteps", others, [*list_arguments(self.set_timesteps), *_UNSET])
        for other, value in others.items():
            if value is not None:
                raise InputError(f"{name}: set_timesteps has no {other!r} here; leave it out")
        is_listed = timesteps is not None or sigmas is not None
        if is_listed == (num_inference_steps is not None):
            raise InputError(f"{name}: set_timesteps wants a number of steps, or a list of timesteps or sigmas")
        if num_inference_steps is None:
            chosen = find_levels(self.schedule, timesteps, sigmas)
            sampler, steps = self._default.choose(chosen), len(chosen)
        else:
            sampler, steps = self._default, num_inference_steps
        levels, calls = sampler.levels(self.schedule, steps), sampler.list_calls(self.schedule, steps)
        self.sampler, self._levels, self._calls = sampler, levels, calls
        self.num_inference_steps, self._run = len(levels), None

    @property
    def timesteps(self) -> jt.Var:
        """The times that the network is fed, one for each call of `step`: whole ones int32, else float32."""
        times = np.array([level.t for level in self._calls])
        return jt.array(np.int32(times) if (times == times.round()).all() else np.float32(times))

    @property
    def sigmas(self) -> jt.Var:
        """The noise-to-signal ratios between which the calls step, and 0 for the end; middles of steps are left out.

        As in diffusers, a scheduler that goes by training times has none (AttributeError).
        """
        if self.sampler.name in (*BY_TIMES, "ddim_invert"):
            raise AttributeError(f"{type(self).__name__} goes by training times and has no sigmas")
        levels = self._levels
        if self.order == 2:
            levels = [levels[0], *(level for level in levels[1:] for _ in range(2))]
        return jt.array(np.array([*(sigma(self._with_signal(level)) for level in levels), 0.0], np.float32))

    @property
    def init_noise_sigma(self) -> float:
        """The factor that makes unit noise the first sample."""
        if not self.sampler.in_sigma:
            return 1.0
        first = self._with_signal(self._calls[0])
        return self.sampler.initial_scale(self.schedule, self.num_inference_steps or len(self)) / first.alpha_bar**0.5

    @property
    def step_index(self) -> Optional[int]:
        """Which of the timesteps the next `step` is for; None before the first."""
        return None if self._run is None else len(self._calls) - len(self._run.levels) + self._run.taken

    def scale_model_input(self, sample: Array, timestep: Any = None) -> jt.Var:
        """The sample in the scale in which the network reads it."""
        x = read_numbers(type(self).__name__, "a sample", sample)
        return x * self._find_level(timestep).alpha_bar ** 0.5 if self.sampler.in_sigma else x

    def add_noise(self, original_samples: Array, noise: Array, timesteps: Any) -> jt.Var:
        """Samples (batch, ...) noised to training times or timesteps, one for all or one for each."""
        x0, eps = self._read_pair(original_samples, noise)
        alpha_bars = self._list_alpha_bars(timesteps, x0)
        x = diffuse(x0, eps, alpha_bars)
        return x / alpha_bars**0.5 if self.sampler.in_sigma else x

    def get_velocity(self, sample: Array, noise: Array, timesteps: Any) -> jt.Var:
        """What a network of velocities should answer for clean samples (batch, ...) with this noise."""
        x0, eps = self._read_pair(sample, noise)
        return from_prediction(Prediction(x0, eps), self._list_alpha_bars(timesteps, x0), "v_prediction")

    def step(
        self,
        model_output: Array,
        timestep: Any,
        sample: Array,
        *,
        generator: Any = None,
        variance_noise: Optional[Array] = None,
        return_dict: bool = True,
        **others: Any,
    ) -> Union[SchedulerOutput, tuple[jt.Var, ...]]:
        """The sample after a step of the sampler, from the network's output for it at ``timestep``.

        Any of the timesteps may be the first; those after it follow in their order, but for samplers that remember
        nothing. ``sample`` need not be what the step before gave. Noise is ``variance_noise``, or the next of
        ``generator`` (`draw_normal`). Raises InputError for a time that is not due, for an output or noise of another
        shape than the sample's, and for arguments that change a sampler in ways that are not here.
        """
        refuse_unknown(f"{type(self).__name__}.step", others, [*list_arguments(self.step), *_WITHOUT_EFFECT])
        for name, value in others.items():
            plain = unwrap_numpy(value)
            if plain is not None and not (isinstance(plain, (int, float)) and plain == _WITHOUT_EFFECT[name]):
                raise InputError(f"{type(self).__name__}: step has no {name}={value!r:.40} here; leave it out")
        return self._take(model_output, timestep, sample, 0.0, generator, variance_noise, return_dict)

    def _take(
        self,
        model_output: Array,
        timestep: Any,
        sample: Array,
        eta: float,
        generator: Any,
        noise: Optional[Array],
        return_dict: bool,
    ) -> Union[SchedulerOutput, tuple[jt.Var, ...]]:
        name = type(self).__name__
        run = self._find_run(float(check_times(name, timestep, 1)[0]), read_share(f"{name}: eta", eta))
        x = read_numbers(name, "a sample", sample)
        output = read_numbers(name, "a network's output", model_output)
        check_same_shape(name, "a network's output", output, "the sample's", x)
        draw = self._make_draw(generator, noise, x)
        scale = self._with_signal(run.levels[run.taken]).alpha_bar ** 0.5 if self.sampler.in_sigma else 1.0
        self._run = None  # an error in the step leaves nothing half done
        step = run.take(output, x * scale if self.sampler.in_sigma else x, draw)
        self._run = run
        end = step.x / step.next_level.alpha_bar**0.5 if self.sampler.in_sigma else step.x
        tells_x0 = self.sampler.in_sigma or self.sampler.name in ("ddim", "ddim_invert", "ddpm", "lcm")
        result = SchedulerOutput(end, step.x0 if tells_x0 else None)
        return result if return_dict else result.to_tuple()

    def _find_run(self, time: float, eta: float) -> DrivenRun:
        """The run that awaits an output at that time: the one at hand, or a new one."""
        run = self._run
        if run is not None and run.level is not None:
            if run.eta == eta and _same_time(run.level.t, time):
                return run
            if self.sampler.name not in _STATELESS and not _same_time(self._calls[0].t, time):
                raise InputError(
                    f"{type(self).__name__}: the next timestep is {run.level.t:g}, not {time:g}; call set_timesteps to "
                    "begin anew"
                )
        steps, spacing = self._count_steps()
        start = next((i for i, level in enumerate(self._levels) if _same_time(level.t, time)), None)
        if start is None:
            raise InputError(
                f"{type(self).__name__}: no step begins at time {time:g}; take the times from its timesteps"
            )
        sampler = self.sampler
        if sampler.begin is not None and start:  # who begins in the middle of the timesteps feeds each of them once
            sampler = replace(sampler, run=partial(pndm, first_twice=False), begin=None)
        return DrivenRun(sampler, self.schedule, steps, start, spacing, eta)

    def _count_steps(self) -> tuple[int, Optional[str]]:
        """How many steps there are, and their spacing. DDPM takes all training times where nobody said."""
        if self.num_inference_steps is not None:
            return self.num_inference_steps, None
        if self.sampler.name != "ddpm":
            raise InputError(f"{type(self).__name__}: call set_timesteps before step")
        return len(self), "trailing"

    def _find_level(self, timestep: Any) -> Level:
        """The level of a time: of the call at hand, else of one of the timesteps, else of the schedule."""
        time = float(self._read_times(timestep, 1)[0])
        awaited = [self._run.level] if self._run is not None and self._run.level is not None else []
        found = next((level for level in [*awaited, *self._calls] if _same_time(level.t, time)), None)
        return self._with_signal(self.schedule.level(time) if found is None else found)

    def _with_signal(self, level: Level) -> Level:
        """The level, as samplers along sigma have it where the last is pure noise."""
        return Level(level.t, float(keep_some_signal(level.alpha_bar)))

    def _list_alpha_bars(self, timesteps: Any, x: jt.Var) -> jt.Var:
        """alpha_bar at the times of x's rows, (batch, 1, ...)."""
        times = self._read_times(timesteps, x.shape[0])
        find = self._find_level if self.sampler.in_sigma else self.schedule.level
        bars = np.array([find(time).alpha_bar for time in times], np.float32)
        return jt.array(bars.reshape(-1, *[1] * (len(x.shape) - 1)))

    def _read_times(self, timesteps: Any, rows: int) -> np.ndarray:
        """Training times or timesteps, (rows,). Raises InputError for those before the first, which have no noise."""
        times = check_times(type(self).__name__, timesteps, rows)
        if times.min(initial=0) < 0:
            raise InputError(f"{type(self).__name__}: wanted timesteps of at least 0, got {times.min():g}")
        return times

    def _read_pair(self, sample: Array, noise: Array) -> tuple[jt.Var, jt.Var]:
        name = type(self).__name__
        x, eps = read_numbers(name, "samples", sample), read_numbers(name, "noise", noise)
        check_same_shape(name, "noise", eps, "the samples'", x)
        return x, eps

    def _make_draw(self, generator: Any, noise: Optional[Array], x: jt.Var) -> Callable[[int], jt.Var]:
        """The noise of a step: a generator that is a seed has a pipeline's for the step of this number."""
        if noise is None:
            return lambda index: draw_normal(generator, x.shape, name_step(index))
        given = read_finite(type(self).__name__, "variance_noise", noise)
        check_same_shape(type(self).__name__, "variance_noise", given, "the sample's", x)
        return lambda _: given


def _same_time(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-3 * max(1e-3, min(abs(a), 1.0))
