"""References as sampling needs them: asked for a step, each gives the features it has there.

A generated reference goes on to the step that it is asked for; one whose trajectory is known is fed that latent
again. Either runs by itself, never in a batch with targets, so its picture cannot depend on them.
"""

from __future__ import annotations

from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.samplers import Denoiser, Step
from jstyle.diffusion.schedule import Level, Prediction
from jstyle.errors import InputError
from jstyle.networks.editing import attached, swapped
from jstyle.runtime import jt
from style_align.features import Plan, Recorder, StepFeatures, plan
from style_align.norms import Moments, RecordingGroupNorm, group_norms
from style_align.settings import Sharing
from style_align.share import shared_sites
from style_align.trajectory import Trajectory

OnStep = Callable[[], None]


class Recording:
    """A denoiser for one reference; ``features`` are what its last call left, where that step is shared."""

    def __init__(self, denoiser: GuidedDenoiser, sharing: Sharing) -> None:
        self.features: Optional[StepFeatures] = None
        self.dtype = denoiser.unet.dtype
        self._denoiser = denoiser
        self._sharing = sharing
        self._paths = shared_sites(denoiser.unet, sharing)

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        self.features = None
        if not self._sharing.at(step):
            return self._denoiser(x, level, step)
        recorder, moments = Recorder(self._sharing), {}
        prediction = self._recorded(x, level, step, recorder, moments)
        self.features = StepFeatures(recorder.sites, moments)
        # Now, or what they are made of - the input of every norm - would stay until somebody asks.
        jt.sync(self.features.arrays())
        return prediction

    def _recorded(
        self, x: jt.Var, level: Level, step: int, recorder: Recorder, moments: Dict[str, Moments]
    ) -> Prediction:
        unet = self._denoiser.unet
        norms = group_norms(unet, lambda path, one: RecordingGroupNorm(one, path, moments))
        with swapped(unet, norms if self._sharing.share_group_norm else {}):
            if not self._paths:
                return self._denoiser(x, level, step)
            with attached(unet, recorder, lambda site: site.path in self._paths):
                return self._denoiser(x, level, step)


class Reference:
    """One reference along its trajectory, which is known from the start or grows by ``steps``.

    ``steps`` makes the sampler's iterator for a denoiser. ``keep`` ("float16" or "float32") keeps the features of
    every step in memory; without it only the last step's are at hand and others are computed again. ``on_step`` is
    called after every evaluation.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        trajectory: Optional[Trajectory] = None,
        offset: int = 0,
        steps: Optional[Callable[[Denoiser], Iterator[Step]]] = None,
        keep: Optional[str] = None,
        on_step: Optional[OnStep] = None,
    ) -> None:
        self._keep = keep
        self._recording = recording
        self._offset = offset
        self._on_step = on_step
        self._trajectory = trajectory
        self._times: List[float] = [] if trajectory is None else list(trajectory.times)
        self._latents: List[np.ndarray] = []
        self._last: Optional[np.ndarray] = None if trajectory is None else trajectory.latents[-1]
        self._steps = None if steps is None else steps(self._traced)
        self._features: Dict[int, StepFeatures] = {}

    def keep(self, dtype: Optional[str]) -> None:
        """Keep features from now on, in ``dtype``, or the last step's alone."""
        if dtype != self._keep:
            self._keep, self._features = dtype, {}

    def at(self, step: int, level: Level) -> StepFeatures:
        """The features when the UNet is fed ``level`` as a sampler's call ``step``.

        Raises InputError where the reference has never been at that time.
        """
        while len(self._times) <= step and self._advance():
            pass
        call = self._call(step, level)
        while call is None and self._advance():
            call = self._call(step, level)
        if call is None:
            raise InputError(f"the reference was never at time {level.t:g}: give it the targets' steps and sampler")
        if call not in self._features:
            self._evaluate(call, level, step)
        found = self._features[call]
        return found.restored(self._recording.dtype) if self._keep else found

    def end(self) -> np.ndarray:
        """The clean latent, (channels, height, width); runs what is left of a generation."""
        while self._advance():
            pass
        assert self._last is not None
        return self._last

    def path(self) -> Tuple[Tuple[float, ...], np.ndarray]:
        """The times fed, and the latents with the clean end behind them."""
        end = self.end()
        if self._trajectory is not None:
            return self._trajectory.times, self._trajectory.latents
        return tuple(self._times), np.stack([*self._latents, end])

    def _call(self, step: int, level: Level) -> Optional[int]:
        """The call at that time: of the same number, else the last (samplers may feed a time twice)."""
        if step < len(self._times) and self._times[step] == level.t:
            return step
        calls = [call for call, time in enumerate(self._times) if time == level.t]
        return calls[-1] if calls else None

    def _advance(self) -> bool:
        """One more step of the generation; False where it has ended."""
        with jt.no_grad():
            step = None if self._steps is None else next(self._steps, None)
        if step is not None:
            self._last = np.array(step.x.numpy())[0]
        return step is not None

    def _traced(self, x: jt.Var, level: Level, step: int) -> Prediction:
        """The generation's denoiser."""
        self._times.append(level.t)
        self._latents.append(np.array(x.numpy())[0])
        return self._record(x, level, step, len(self._times) - 1)

    def _evaluate(self, call: int, level: Level, step: int) -> None:
        latent = self._latents[call] if self._trajectory is None else self._trajectory.fed(call, self._offset)
        self._record(jt.array(latent[None]), level, step, call)

    def _record(self, x: jt.Var, level: Level, step: int, call: int) -> Prediction:
        prediction = self._recording(x, level, step)
        features = self._recording.features
        if features is not None:
            self._features = {**self._features, call: features.kept(self._keep)} if self._keep else {call: features}
        if self._on_step is not None:
            self._on_step()
        return prediction


class References:
    """One or several references as one plan for each step, which is made once, whoever asks how often.

    ``weights`` are positive and need not sum to 1.
    """

    def __init__(self, references: Sequence[Reference], weights: Sequence[float], sharing: Sharing) -> None:
        self.references = list(references)
        self._weights = [weight / sum(weights) for weight in weights]
        self._sharing = sharing
        self._made: Optional[Tuple[int, Level, Plan]] = None

    def at(self, step: int, level: Level) -> Plan:
        """What targets get when they are fed ``level`` as call ``step``."""
        if self._made is None or self._made[:2] != (step, level):
            self._made = None  # the last step's is let go before the next is made
            features = [reference.at(step, level) for reference in self.references]
            self._made = step, level, plan(features, self._weights, self._sharing)
        return self._made[2]
