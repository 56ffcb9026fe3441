"""Null-text optimisation (arXiv 2211.09794): texts to guide away from, under which a picture comes back when guided."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union

import numpy as np

from jstyle.diffusion.guidance import GuidedDenoiser, guide
from jstyle.diffusion.samplers import ddim
from jstyle.diffusion.schedule import Level, Prediction, Schedule, diffuse, to_prediction
from jstyle.events import Evaluated, Updated
from jstyle.networks import TextContext
from jstyle.pipelines.cost import Meter
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline, without_gradients
from jstyle.runtime import jt
from jstyle.settings.identity import digest
from jstyle.training.optimizer import AdamW, gradients_of
from jstyle.training.teaching.tuning import frozen
from jstyle.weights.tensors import FileTensors, write_tensors

_NEAR = 1e-5  # of the first step's loss: that is near enough
_NEAR_LATER = 2e-5  # more in each of 50 steps
_USUAL_STEPS = 50


@dataclass(frozen=True)
class NullTextSettings:
    """``updates`` at most in each of the ``steps``, by Adam, at ``rate`` in the first and half of it at the end."""

    guidance: float
    steps: int
    updates: int
    rate: float


class NullTextDenoiser:
    """A guided denoiser of one row that, at each call, first changes what it guides away from.

    The step that `ddim` is about to take shall lead to the next of the latents of ``path``, (steps + 1, channels,
    height, width), noisiest first. ``text`` and ``null`` are (1, tokens, hidden_size); ``nulls`` are the texts so far.
    """

    def __init__(
        self, pipe: StableDiffusionPipeline, settings: NullTextSettings, path: np.ndarray, text: jt.Var, null: jt.Var
    ) -> None:
        self.nulls: list[np.ndarray] = []
        self.loss = 0.0
        self._schedule: Schedule = pipe.schedule
        self._settings = settings
        self._path = path
        self._text = text
        self._null = null
        self._guided = GuidedDenoiser(pipe.unet, pipe.schedule.config.prediction_type, text, null, settings.guidance)

    @property
    def evaluations(self) -> int:
        """The latents that have gone through the UNet beside those of updates."""
        return self._guided.evaluations

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        """As every denoiser, of x (1, channels, height, width)."""
        next_level = self._schedule.level(level.t - self._schedule.stride(self._settings.steps))
        null = self._optimise(x, level, next_level, step)
        self.nulls.append(np.array(null.numpy())[0])
        self._null = null
        self._guided.turn(jt.concat([null, self._text], dim=0), self._settings.guidance)
        return self._guided(x, level, step)

    def go_on(self, stored: FileTensors) -> jt.Var:
        """Take up what an earlier run has found; returns the latents at which it stood."""
        self.nulls = list(stored.read("nulls"))
        self._null = jt.array(self.nulls[-1][None])
        return jt.array(stored.read("x"))

    def _optimise(self, x: jt.Var, level: Level, next_level: Level, step: int) -> jt.Var:
        """The text for this step, from that of the step before."""
        unet, kind, scale = self._guided.unet, self._guided.prediction_type, self._settings.guidance
        goal, share = jt.array(self._path[step + 1 : step + 2]), step / self._settings.steps
        with jt.no_grad():
            conditional = unet(x, level.t, TextContext(self._text), step=step).sample
            conditional.sync()
            null = self._null.copy()
        adam = AdamW({"null": null}, weight_decay=0.0)
        for number in range(1, self._settings.updates + 1):
            with jt.flag_scope(no_grad=0):
                plain = unet(x, level.t, TextContext(null), step=step).sample
                aim = to_prediction(guide(plain, conditional, scale), x, level.alpha_bar, kind)
                reached = diffuse(self._schedule.clip(aim.x0), aim.eps, next_level.alpha_bar)
                loss = (reached - goal).sqr().mean()
                gradients = gradients_of(loss, [null])
            adam.update(gradients, number, self._settings.rate * (1 - share / 2))
            self.loss = loss.item()
            if self.loss < _NEAR + _NEAR_LATER * share * _USUAL_STEPS:
                break
        return null.stop_grad()


def optimise_null_text(
    pipe: StableDiffusionPipeline,
    settings: NullTextSettings,
    path: np.ndarray,
    text: jt.Var,
    null: jt.Var,
    folder: Optional[Path] = None,
) -> Generator[Union[Evaluated, Updated], None, np.ndarray]:
    """What to guide away from in each step, (steps, tokens, hidden_size), so that ``path`` is followed under guidance.

    ``path`` (steps + 1, channels, height, width) is that of an inversion, noisiest first, ``text`` (1, tokens,
    hidden_size) the picture's, ``null`` what is started from. Steps that end early count their updates as made. With
    ``folder`` what is found is kept there after each step, and gone on from.
    """
    denoiser = NullTextDenoiser(pipe, settings, path, text, null)
    kept = None if folder is None else folder / f"{name_problem(settings, path, text, null)}.safetensors"
    x, meter = jt.array(path[:1]), Meter("null text", denoiser)
    if kept is not None and kept.is_file():
        x = denoiser.go_on(FileTensors([kept]))
    done = len(denoiser.nulls)
    if done:
        yield Evaluated("null text", 2 * done)
        yield Updated("null text", settings.updates * done)
    if done < settings.steps:
        with frozen(pipe.unet):
            for step in without_gradients(ddim(denoiser, x, pipe.schedule, settings.steps, start=done)):
                if kept is not None:
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    write_tensors({"nulls": np.stack(denoiser.nulls), "x": np.array(step.x.numpy())}, kept)
                yield meter.read()
                yield Updated("null text", settings.updates, denoiser.loss)
    return np.stack(denoiser.nulls)


def name_problem(settings: NullTextSettings, path: np.ndarray, text: jt.Var, null: jt.Var) -> str:
    """A name for all that the result depends on; the path, found by the model, stands for it."""
    content = hashlib.sha256(digest(settings).encode())
    for array in (path, np.array(text.numpy()), np.array(null.numpy())):
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()[:16]
