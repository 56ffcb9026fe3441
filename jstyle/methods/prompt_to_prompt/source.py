"""The source's path from noise to picture, generated or a given picture's, and what its attention uses on the way.

It runs by itself, never in a batch with edits: its picture cannot depend on them, and a given picture stays on the path
of its inversion, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Optional, Protocol

import numpy as np

from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.samplers import Denoiser, Step, ddim_invert
from jstyle.diffusion.schedule import Level, Prediction, Schedule
from jstyle.events import Evaluated
from jstyle.methods.prompt_to_prompt.editor import Features, SourceRecorder
from jstyle.networks.editing import attached
from jstyle.pipelines.cost import Meter
from jstyle.pipelines.stable_diffusion import without_gradients
from jstyle.runtime import jt

PathsAt = Callable[[int], frozenset[str]]
"""The attention layers that are recorded at a call of the UNet."""


class Source(Protocol):
    """A source whose edits go step by step with it, each call of the UNet in turn."""

    @property
    def first(self) -> jt.Var:
        """Where it and they begin, (1, channels, height, width)."""
        ...

    @property
    def latents(self) -> jt.Var:
        """Where it stands, (1, channels, height, width)."""
        ...

    @property
    def evaluations(self) -> int:
        """The latents that have gone through the UNet for it."""
        ...

    def begin(self) -> None:
        """Take the first step of a generated one, before anything waits to be computed beside it.

        Jittor fuses what waits, and how it fuses decides over last bits.
        """
        ...

    def record(self, call: int, level: Level) -> Features:
        """What its attention uses at a call, which is this or the last one recorded."""
        ...

    def follow(self, call: int) -> jt.Var:
        """Its latents (1, channels, height, width) after that call."""
        ...

    def against(self, call: int) -> Optional[jt.Var]:
        """What its edits are guided away from at a call, (1, tokens, hidden_size); None where that is a text."""
        ...

    def finish(self) -> Iterator[Evaluated]:
        """Go to the end of its path."""
        ...


class GeneratedSource:
    """A picture of a text; ``steps`` makes the sampler's iterator for a denoiser and the first latents."""

    def __init__(
        self,
        denoiser: GuidedDenoiser,
        paths: PathsAt,
        first: jt.Var,
        steps: Callable[[Denoiser, jt.Var], Iterator[Step]],
    ) -> None:
        self.first = self.latents = first
        self._denoiser = denoiser
        self._paths = paths
        self._recorder = SourceRecorder()
        self._features: Features = {}
        self._steps = without_gradients(steps(self._denoise, first))
        self._call = -1

    @property
    def evaluations(self) -> int:
        """As every source."""
        return self._denoiser.evaluations

    def begin(self) -> None:
        """As every source."""
        self._advance()

    def record(self, call: int, level: Level) -> Features:
        """As every source."""
        while self._call < call and self._advance():
            pass
        return self._features

    def follow(self, call: int) -> jt.Var:
        """As every source."""
        return self.latents

    def against(self, call: int) -> Optional[jt.Var]:
        """As every source."""
        return None

    def finish(self) -> Iterator[Evaluated]:
        """As every source."""
        meter = Meter("source", self)
        while self._advance():
            yield meter.read()

    def _advance(self) -> bool:
        """Take a step; False after the last."""
        step = next(self._steps, None)
        if step is None:
            return False
        self._call, self.latents, self._features = step.index, step.x, self._recorder.take()
        return True

    def _denoise(self, x: jt.Var, level: Level, step: int) -> Prediction:
        return denoise_recorded(self._denoiser, self._recorder, self._paths(step), x, level, step)


class GivenSource:
    """A picture, by the latents (calls + 1, channels, height, width) of its path, the clean ones last.

    ``denoiser`` is that of its text alone. ``nulls`` (calls, tokens, hidden_size) are what its edits are guided away
    from, where that was optimised.
    """

    def __init__(
        self, denoiser: GuidedDenoiser, paths: PathsAt, path: np.ndarray, nulls: Optional[np.ndarray] = None
    ) -> None:
        self._denoiser = denoiser
        self._paths = paths
        self._path = path
        self._nulls = nulls
        self._recorded: tuple[int, Features] = (-1, {})

    @property
    def evaluations(self) -> int:
        """As every source."""
        return self._denoiser.evaluations

    @property
    def first(self) -> jt.Var:
        """As every source."""
        return jt.array(self._path[:1])

    @property
    def latents(self) -> jt.Var:
        """The clean ones, whatever is recorded."""
        return jt.array(self._path[-1:])

    def begin(self) -> None:
        """As every source."""

    def record(self, call: int, level: Level) -> Features:
        """As every source."""
        paths = self._paths(call)
        if paths and self._recorded[0] != call:
            recorder, x = SourceRecorder(), jt.array(self._path[call : call + 1])
            denoise_recorded(self._denoiser, recorder, paths, x, level, call)
            self._recorded = call, recorder.take()
        return self._recorded[1] if paths else {}

    def follow(self, call: int) -> jt.Var:
        """As every source."""
        return jt.array(self._path[call + 1 : call + 2])

    def against(self, call: int) -> Optional[jt.Var]:
        """As every source."""
        return None if self._nulls is None else jt.array(self._nulls[call : call + 1])

    def finish(self) -> Iterator[Evaluated]:
        """As every source."""
        return iter(())


def denoise_recorded(
    denoiser: GuidedDenoiser, recorder: SourceRecorder, paths: frozenset[str], x: jt.Var, level: Level, call: int
) -> Prediction:
    """Call a denoiser, and have a recorder see the attention of these paths."""
    if not paths:
        return denoiser(x, level, call)
    with attached(denoiser.unet, recorder, lambda site: site.path in paths):
        return denoiser(x, level, call)


def invert_path(
    denoiser: GuidedDenoiser, clean: jt.Var, schedule: Schedule, steps: int, fixed_point: int
) -> Generator[Evaluated, None, np.ndarray]:
    """The path of clean latents (1, channels, height, width) as `GivenSource` takes it, noisiest first."""
    meter, path = Meter("inversion", denoiser), [np.array(clean.numpy())]
    inversion = ddim_invert(denoiser, clean, schedule, steps, "target", fixed_point=fixed_point)
    for step in without_gradients(inversion):
        path.append(np.array(step.x.numpy()))
        yield meter.read()
    return np.concatenate(path[::-1])
