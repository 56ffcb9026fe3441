"""StyleID on latents: inversion with recording, AdaIN, and stylisation."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from jstyle.diffusion.adain import adain
from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.samplers import Denoiser, Step, ddim, ddim_invert
from jstyle.diffusion.schedule import Level, Prediction, Schedule
from jstyle.errors import InputError
from jstyle.events import Evaluated
from jstyle.networks import UNet2DConditionModel
from jstyle.networks.editing import AttentionEditor, attached
from jstyle.pipelines.cost import Meter
from jstyle.runtime import jt
from styleid.bank import Bank, Recorder, Role, Sink
from styleid.inject import InjectFromBanks, InjectFromRows, injected_sites
from styleid.settings import StyleIDSettings


@dataclass(frozen=True)
class Inverted:
    """An image at the end of its inversion.

    ``latent`` is (channels, height, width). Injection reads ``bank``, or, to compute the features again,
    ``trajectory`` (steps, channels, height, width): the latent that was fed to the UNet at each sampling step.
    """

    latent: np.ndarray
    bank: Optional[Bank] = None
    trajectory: Optional[np.ndarray] = None


class StyleIDOnLatents:
    """The method on one UNet, under one text (the empty prompt's), (1, tokens, cross_attention_dim).

    Its generators yield what has gone through the UNet, after every step, and return their result.
    ``paths`` are those of the injected layers. Raises InputError when the settings name a layer that the UNet does
    not have.
    """

    def __init__(self, unet: UNet2DConditionModel, text: jt.Var, schedule: Schedule, settings: StyleIDSettings) -> None:
        self._unet = unet
        self._schedule = schedule
        self._settings = settings
        self.paths = injected_sites(unet, settings.layers)
        self._denoiser = GuidedDenoiser(unet, schedule.prediction_type, text)

    def invert(
        self, latents: jt.Var, role: Role, sinks: Sequence[Sink]
    ) -> Generator[Evaluated, None, list[np.ndarray]]:
        """Invert (batch, channels, height, width), recording each row's features into its sink.

        Returns each row's inverted latent, (channels, height, width).
        """
        recorder, meter = Recorder(role, sinks, self._settings.feature_dtype), self._meter(role)
        x = latents
        with jt.no_grad(), attached(self._unet, recorder, lambda site: site.path in self.paths):
            for step in self._inversion(latents):
                recorder.flush(self._sampling_step(step.index))
                x = step.x
                yield meter.read()
        return list(np.array(x.numpy()))

    def trace(self, latents: jt.Var, role: Role) -> Generator[Evaluated, None, list[Inverted]]:
        """Invert, keeping for each row the latents that were fed to the UNet instead of its features."""
        fed, x, meter = [], latents, self._meter(role)
        with jt.no_grad():
            for step in self._inversion(latents):
                fed.append(np.array(x.numpy()))
                x = step.x
                yield meter.read()
        trajectories = np.stack(fed[::-1], axis=1)  # (batch, sampling steps, channels, height, width)
        return [Inverted(latent, trajectory=t) for latent, t in zip(np.array(x.numpy()), trajectories)]

    def stylise(self, contents: Sequence[Inverted], style: Inverted) -> Generator[Evaluated, None, jt.Var]:
        """The contents in the style, clean latents (contents, channels, height, width)."""
        settings, meter = self._settings, Meter("stylisation", self._denoiser)
        x = jt.array(np.stack([content.latent for content in contents]))
        if settings.adain:
            x = adain(x, jt.array(style.latent[None]), settings.adain_eps)
        denoiser, editor = self._injection(contents, style)
        start = int(settings.skip_first_step)
        with jt.no_grad(), attached(self._unet, editor, lambda site: site.path in self.paths):
            for step in ddim(denoiser, x, self._schedule, settings.steps, start=start):
                x = step.x
                yield meter.read()
        return x

    def _injection(self, contents: Sequence[Inverted], style: Inverted) -> tuple[Denoiser, AttentionEditor]:
        """What runs the UNet, and what edits its attention."""
        gamma, temperature, steps = self._settings.gamma, self._settings.temperature, self._settings.injected_steps
        if style.trajectory is not None and len(steps) > 0:
            denoiser = _WithReferences(self._denoiser, [*contents, style])
            return denoiser, InjectFromRows(len(contents), gamma, temperature, steps)
        banks = [content.bank for content in contents if content.bank is not None]
        return self._denoiser, InjectFromBanks(banks, style.bank, gamma, temperature, steps)

    def _inversion(self, latents: jt.Var) -> Iterator[Step]:
        return ddim_invert(self._denoiser, latents, self._schedule, self._settings.steps, self._settings.inversion)

    def _sampling_step(self, inversion_step: int) -> int:
        """Sampling feeds the times of the inversion in reverse."""
        return self._settings.steps - 1 - inversion_step

    def _meter(self, role: Role) -> Meter:
        return Meter(f"{role} inversion", self._denoiser)


class _WithReferences:
    """Runs the references' own latents of the same step before x through the network, and drops their outputs."""

    def __init__(self, denoiser: GuidedDenoiser, references: Sequence[Inverted]) -> None:
        self._denoiser = denoiser
        self._trajectories = [reference.trajectory for reference in references if reference.trajectory is not None]
        if len({trajectory.shape for trajectory in self._trajectories}) > 1:
            raise InputError(
                "features that are computed again need content and style of one shape: fit must be crop, pad or stretch"
            )

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        n = len(self._trajectories)
        fed = np.stack([trajectory[step] for trajectory in self._trajectories])
        prediction = self._denoiser(jt.concat([jt.array(fed), x], dim=0), level, step)
        return Prediction(prediction.x0[n:], prediction.eps[n:])
