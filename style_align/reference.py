"""A reference's path from noise to picture - generated, inverted or stored - and what it leaves at each step of it.

A generated reference goes on to the step that it is asked for; one whose path is known is fed that latent again.
Either runs by itself, never in a batch with targets, so its picture cannot depend on them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.samplers import Denoiser, Step, invert_step
from jstyle.diffusion.schedule import Level, Prediction, Schedule
from jstyle.diffusion.weighted_text import PLAIN
from jstyle.errors import InputError
from jstyle.events import Evaluated
from jstyle.files import make_folder
from jstyle.pipelines.cost import Meter
from jstyle.runtime import jt
from jstyle.settings.json_files import parse_json
from jstyle.settings.reader import plain
from jstyle.weights.tensors import write_tensors
from style_align.features import Features, Recorder, mix
from style_align.settings import Sharing


@dataclass(frozen=True)
class Trajectory:
    """What a reference was at every call of the UNet; a reference itself, for later runs.

    ``latents`` is (calls + 1, channels, height, width): what was fed at ``times``, noisiest first, and the clean end.
    ``about`` says by which model and settings it was made; "inverted" tells a picture's from a generated one's.
    """

    prompt: str
    negative_prompt: str
    times: tuple[float, ...]
    latents: np.ndarray
    about: Mapping[str, Any]

    @property
    def inverted(self) -> bool:
        """Whether it was a picture's."""
        return bool(self.about.get("inverted"))

    def fed(self, call: int, offset: int = 0) -> np.ndarray:
        """The latent at a call, (channels, height, width).

        An ``offset`` lets a reference begin that many steps ahead and wait there for the targets, as the paper's
        code does: it stands at ``offset`` first, then at max(offset + 1, call).
        """
        return self.latents[call if offset == 0 else offset if call == 0 else max(offset + 1, call)]

    def save(self, file: Path, *, overwrite: bool = True) -> None:
        """Write a safetensors file, whole or not at all; the same reference that is there already is left alone.

        Raises InputError when it cannot be written, and, unless ``overwrite``, when something else is there.
        """
        if file.exists() and not overwrite:
            if not np.array_equal(self.latents, load_same(file, self.prompt, self.negative_prompt, self.about).latents):
                raise _holds_another(file)
            return
        about = {
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "times": list(self.times),
            "about": dict(self.about),
        }
        text = np.frombuffer(json.dumps(about).encode(), np.uint8)
        make_folder(file.parent)
        write_tensors({"latents": np.ascontiguousarray(self.latents, np.float32), "about": text}, file)

    def check(self, about: Mapping[str, Any], name: str) -> None:
        """Raise InputError, which calls this ``name``, where another model or path made it than ``about`` says."""
        for key, is_what in (("model_hash", "other weights"), ("schedule", "another noise schedule")):
            if self.about.get(key) != about[key]:
                raise InputError(
                    f"{name} was made with {is_what} than this model's; make it again with --save_reference"
                )
        for key in ("steps", "sampler", "sigmas", "prompt_weights", "long_prompts"):
            was = self.about.get(key)
            if was != about[key]:
                raise InputError(f"{name} was made with {key} = {was}, not {about[key]}; use --{key} {was}")


def load_same(file: Path, prompt: str, negative_prompt: str, about: Mapping[str, Any]) -> Trajectory:
    """The reference in a file. Raises InputError where it is of other texts or was made otherwise, or is none."""
    try:
        there = load_trajectory(file)
    except InputError:
        raise InputError(f"{str(file)!r} exists, but is no saved reference; --overwrite replaces it") from None
    if (there.prompt, there.negative_prompt, there.about) != (prompt, negative_prompt, dict(about)):
        raise _holds_another(file)
    return there


def _holds_another(file: Path) -> InputError:
    return InputError(f"{str(file)!r} holds another reference; --overwrite replaces it")


def load_trajectory(file: Path) -> Trajectory:
    """A stored reference. Raises InputError for a file that is missing or is none."""
    if not file.is_file():
        raise InputError(f"there is no saved reference at {str(file)!r}; make one with --save_reference")
    try:
        arrays = load_file(file)
        content = parse_json(arrays["about"].tobytes(), "about")
        trajectory = Trajectory(
            str(content["prompt"]),
            str(content["negative_prompt"]),
            tuple(float(t) for t in content["times"]),
            arrays["latents"],
            {**plain(PLAIN), **content["about"]},  # files of before there was a choice
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{str(file)!r} is no saved reference; make one with --save_reference") from error
    if trajectory.latents.ndim != 4 or len(trajectory.latents) != len(trajectory.times) + 1:
        raise InputError(f"{str(file)!r} is a damaged reference; make it again")
    return trajectory


def invert(
    denoiser: GuidedDenoiser, clean: jt.Var, levels: Sequence[Level], schedule: Schedule, fixed_point: int = 0
) -> Generator[Evaluated, None, tuple[tuple[float, ...], np.ndarray]]:
    """DDIM inversion of a latent (1, channels, height, width) through ``levels``, those that a sampler feeds.

    The noise is taken at the level that a step reaches (`ddim_invert`'s convention "target", generalised to any
    sampler's levels), with ``fixed_point`` calls more in each. Returns ``times`` and ``latents`` of the trajectory.
    """
    x, here, meter = clean, schedule.level(-1), Meter("inversion", denoiser)
    path = [np.array(x[0].numpy())]
    for index, level in enumerate(reversed(levels)):
        with jt.no_grad():
            x, _ = invert_step(denoiser, x, here, level, index, fed=level, fixed_point=fixed_point)
        here = level
        path.append(np.array(x[0].numpy()))
        yield meter.read()
    return tuple(level.t for level in levels), np.stack(path[::-1])


class Reference:
    """A reference along its path, which is known from the start or grows by ``steps``.

    ``steps`` makes the sampler's iterator for a denoiser. ``keep`` ("float16" or "float32") keeps the features of
    every step in memory; without it only the last step's are at hand and others are computed again.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        trajectory: Optional[Trajectory] = None,
        offset: int = 0,
        steps: Optional[Callable[[Denoiser], Iterator[Step]]] = None,
        keep: Optional[str] = None,
    ) -> None:
        self._keep = keep
        self._recorder = recorder
        self._offset = offset
        self._trajectory = trajectory
        self._times: list[float] = [] if trajectory is None else list(trajectory.times)
        self._latents: list[np.ndarray] = []
        self._last: Optional[np.ndarray] = None if trajectory is None else trajectory.latents[-1]
        self._steps = None if steps is None else steps(self._trace)
        self._features: dict[int, Features] = {}

    @property
    def evaluations(self) -> int:
        """The latents that have gone through the UNet for it."""
        return self._recorder.evaluations

    def keep(self, dtype: Optional[str]) -> None:
        """Keep features from now on, in ``dtype``, or the last step's alone."""
        if dtype != self._keep:
            self._keep, self._features = dtype, {}

    def at(self, step: int, level: Level) -> Features:
        """The features when the UNet is fed ``level`` as a sampler's call ``step``.

        Raises InputError where the reference has never been at that time.
        """
        while len(self._times) <= step and self.advance():
            pass
        call = self._find_call(step, level)
        while call is None and self.advance():
            call = self._find_call(step, level)
        if call is None:
            raise InputError(f"the reference was never at time {level.t:g}: give it the targets' steps and sampler")
        if call not in self._features:
            latent = self._latents[call] if self._trajectory is None else self._trajectory.fed(call, self._offset)
            self._record(jt.array(latent[None]), level, step, call)
        features = self._features[call]
        return features.restore(self._recorder.dtype) if self._keep else features

    def advance(self) -> bool:
        """Take a step of the generation; False where it has ended."""
        with jt.no_grad():
            step = None if self._steps is None else next(self._steps, None)
        if step is not None:
            self._last = np.array(step.x.numpy())[0]
        return step is not None

    def path(self) -> tuple[tuple[float, ...], np.ndarray]:
        """The times fed, and the latents with the clean end behind them; of a reference that has come to its end."""
        if self._trajectory is not None:
            return self._trajectory.times, self._trajectory.latents
        assert self._last is not None
        return tuple(self._times), np.stack([*self._latents, self._last])

    def _find_call(self, step: int, level: Level) -> Optional[int]:
        """The call at that time: of the same number, else the last (samplers may feed a time twice)."""
        if step < len(self._times) and self._times[step] == level.t:
            return step
        calls = [call for call, time in enumerate(self._times) if time == level.t]
        return calls[-1] if calls else None

    def _trace(self, x: jt.Var, level: Level, step: int) -> Prediction:
        """The generation's denoiser."""
        self._times.append(level.t)
        self._latents.append(np.array(x.numpy())[0])
        return self._record(x, level, step, len(self._times) - 1)

    def _record(self, x: jt.Var, level: Level, step: int, call: int) -> Prediction:
        prediction = self._recorder(x, level, step)
        features = self._recorder.features
        if features is not None:
            self._features = {**self._features, call: features.keep(self._keep)} if self._keep else {call: features}
        return prediction


class References:
    """References as one: mixed for each step, which is done once, whoever asks how often.

    ``weights`` are positive and need not sum to 1.
    """

    def __init__(self, references: Sequence[Reference], weights: Sequence[float], sharing: Sharing) -> None:
        self._references = list(references)
        self._weights = [weight / sum(weights) for weight in weights]
        self._sharing = sharing
        self._mixed: Optional[tuple[int, Level, Features]] = None

    @property
    def evaluations(self) -> int:
        """The latents that have gone through the UNet for them."""
        return sum(reference.evaluations for reference in self._references)

    def at(self, step: int, level: Level) -> Features:
        """What targets get when they are fed ``level`` as call ``step``."""
        if self._mixed is None or self._mixed[:2] != (step, level):
            self._mixed = None  # the last step's is let go before the next is made
            features = [reference.at(step, level) for reference in self._references]
            self._mixed = step, level, mix(features, self._weights, self._sharing)
        return self._mixed[2]
