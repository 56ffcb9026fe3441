"""Style Aligned on latents: denoisers that let targets share, and sets that run batch by batch or step by step."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Callable, Iterator, Optional, Sequence, Tuple

import numpy as np

from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.samplers import Step
from jstyle.diffusion.schedule import Level, Prediction
from jstyle.networks.editing import attached, swapped
from jstyle.runtime import jt
from style_align.norms import SharedGroupNorm, group_norms
from style_align.reference import References
from style_align.settings import Sharing
from style_align.share import ShareAttention, ShareEverything, shared_sites
from style_align.trajectory import Trajectory


class Aligned:
    """A denoiser of targets that share with references.

    The network is changed for the time of one call and is as before after it, after an exception too. Editors that
    the caller has attached come first, for the references as well.
    """

    def __init__(self, denoiser: GuidedDenoiser, references: References, sharing: Sharing) -> None:
        self._denoiser = denoiser
        self._references = references
        self._sharing = sharing
        self._paths = shared_sites(denoiser.unet, sharing)

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        """x is (targets, channels, height, width)."""
        if not self._sharing.at(step):
            return self._denoiser(x, level, step)
        x.sync()  # before the references: else Jittor fuses what x waits for otherwise, where they are evaluated now
        plan = self._references.at(step, level)
        unet, weight = self._denoiser.unet, min(self._sharing.style_strength, 1.0)
        with ExitStack() as stack:
            if self._paths:
                editor = ShareAttention(plan, self._sharing)
                stack.enter_context(attached(unet, editor, lambda site: site.path in self._paths))
            if plan.norms:
                norms = group_norms(unet, lambda path, one: SharedGroupNorm(one, plan.norms[path], weight))
                stack.enter_context(swapped(unet, norms))
            return self._denoiser(x, level, step)


class Joint:
    """A denoiser of a whole set that shares everything: its first row is the reference.

    With a ``trajectory`` the first row is the reference's latent of that step, and x holds the targets alone.
    """

    def __init__(
        self, denoiser: GuidedDenoiser, sharing: Sharing, trajectory: Optional[Trajectory] = None, offset: int = 0
    ) -> None:
        self._denoiser = denoiser
        self._sharing = sharing
        self._trajectory = trajectory
        self._offset = offset
        self._paths = shared_sites(denoiser.unet, sharing)

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        if self._trajectory is None:
            return self._shared(x, level, step)
        times = self._trajectory.times
        call = step if step < len(times) and times[step] == level.t else times.index(level.t)
        fed = jt.array(self._trajectory.fed(call, self._offset)[None])
        prediction = self._shared(jt.concat([fed, x], dim=0), level, step)
        return Prediction(prediction.x0[1:], prediction.eps[1:])

    def _shared(self, x: jt.Var, level: Level, step: int) -> Prediction:
        if not self._sharing.at(step):
            return self._denoiser(x, level, step)
        unet, halves = self._denoiser.unet, 1 + self._denoiser.guided
        with ExitStack() as stack:
            if self._paths:
                editor = ShareEverything(halves)
                stack.enter_context(attached(unet, editor, lambda site: site.path in self._paths))
            if self._sharing.share_group_norm:
                norms = group_norms(unet, lambda path, one: SharedGroupNorm(one, None, halves=halves))
                stack.enter_context(swapped(unet, norms))
            return self._denoiser(x, level, step)


def run_batches(
    batches: Sequence[Callable[[], Iterator[Step]]], *, together: bool, on_step: Callable[[int], None]
) -> Iterator[Tuple[int, np.ndarray]]:
    """Run the samplers of several batches; yields (batch, final x) when a batch is done.

    ``together`` takes one step of every batch before the next step of any, so that nothing of a reference's step has
    to be kept for later; else batch after batch runs to its end.
    """
    running = [_Running(_announced(number, start, on_step)) for number, start in enumerate(batches)]
    while together and all([batch.step() for batch in running]):
        pass
    for number, batch in enumerate(running):
        yield number, batch.end()


class _Running:
    """A sampler, and where it is."""

    def __init__(self, steps: Iterator[Step]) -> None:
        self._steps = steps
        self._x: Optional[jt.Var] = None

    def step(self) -> bool:
        """Take one step; False after the last."""
        step = next(self._steps, None)
        if step is not None:
            self._x = step.x
        return step is not None

    def end(self) -> np.ndarray:
        """The final x, after all steps that are left."""
        while self.step():
            pass
        assert self._x is not None  # every sampler takes at least one step
        return np.array(self._x.numpy())


def _announced(number: int, start: Callable[[], Iterator[Step]], on_step: Callable[[int], None]) -> Iterator[Step]:
    """A batch's sampler, made when its first step is asked for."""
    for step in start():
        on_step(number)
        yield step
