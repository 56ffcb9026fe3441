"""StyleID on latents: inversion with recording, AdaIN, and stylisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence

import numpy as np

from jstyle.diffusion.adain import adain
from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.samplers import Denoiser, ddim, ddim_invert
from jstyle.diffusion.schedule import Level, Prediction, Schedule
from jstyle.networks import UNet2DConditionModel
from jstyle.networks.editing import attached
from jstyle.runtime import jt
from styleid.bank import Bank, Recorder, Role, Sink
from styleid.inject import InjectFromBanks, InjectFromRows, injected_sites
from styleid.settings import StyleIDSettings

OnStep = Callable[[], None]


@dataclass(frozen=True)
class Inverted:
    """An image at the end of its inversion.

    ``latent`` is (channels, height, width). Injection reads ``bank``, or, to compute the features again,
    ``trajectory`` (steps, channels, height, width): the latent that was fed to the UNet at each sampling step.
    """

    latent: np.ndarray
    bank: Optional[Bank] = None
    trajectory: Optional[np.ndarray] = None


class StyleID:
    """The method on one UNet, under one text (the empty prompt's), (1, tokens, cross_attention_dim).

    Raises InputError when the settings name a layer that the UNet does not have. ``evaluations`` counts the
    latents that went through the UNet; ``paths`` are those of the injected layers.
    """

    def __init__(self, unet: UNet2DConditionModel, text: jt.Var, schedule: Schedule, settings: StyleIDSettings) -> None:
        self._unet = unet
        self._schedule = schedule
        self._settings = settings
        self.paths = injected_sites(unet, settings.layers)
        self._denoiser = GuidedDenoiser(unet, schedule.prediction_type, text)

    @property
    def evaluations(self) -> int:
        return self._denoiser.evaluations

    def invert(
        self, latents: jt.Var, role: Role, sinks: Sequence[Sink], on_step: Optional[OnStep] = None
    ) -> List[np.ndarray]:
        """Invert (batch, channels, height, width), recording each row's features into its sink.

        Returns each row's inverted latent, (channels, height, width).
        """
        recorder = Recorder(role, sinks, self._settings.feature_dtype)
        steps = self._inversion(latents)
        x = latents
        with jt.no_grad(), attached(self._unet, recorder, lambda site: site.path in self.paths):
            for step in steps:
                recorder.flush(self._sampling_step(step.index))
                x = step.x
                _call(on_step)
        return list(np.array(x.numpy()))

    def trace(self, latents: jt.Var, on_step: Optional[OnStep] = None) -> List[Inverted]:
        """Invert, keeping for each row the latents that were fed to the UNet instead of its features."""
        fed, x = [], latents
        with jt.no_grad():
            for step in self._inversion(latents):
                fed.append(np.array(x.numpy()))
                x = step.x
                _call(on_step)
        trajectories = np.stack(fed[::-1], axis=1)  # (batch, sampling steps, channels, height, width)
        return [Inverted(latent, trajectory=t) for latent, t in zip(np.array(x.numpy()), trajectories)]

    def stylise(self, contents: Sequence[Inverted], style: Inverted, on_step: Optional[OnStep] = None) -> jt.Var:
        """The contents in the style, clean latents (contents, channels, height, width)."""
        settings = self._settings
        x = jt.array(np.stack([content.latent for content in contents]))
        if settings.adain:
            x = adain(x, jt.array(style.latent[None]), settings.adain_eps)
        steps = settings.injected_steps
        denoiser: Denoiser = self._denoiser
        if style.trajectory is not None and len(steps) > 0:
            denoiser = _WithReferences(self._denoiser, [*contents, style])
            editor = InjectFromRows(len(contents), settings.gamma, settings.temperature, steps)
        else:
            banks = [content.bank for content in contents if content.bank is not None]
            editor = InjectFromBanks(banks, style.bank, settings.gamma, settings.temperature, steps)  # type: ignore
        start = int(settings.skip_first_step)
        with jt.no_grad(), attached(self._unet, editor, lambda site: site.path in self.paths):
            for step in ddim(denoiser, x, self._schedule, settings.steps, start=start):
                x = step.x
                _call(on_step)
        return x

    def _inversion(self, latents: jt.Var):
        return ddim_invert(self._denoiser, latents, self._schedule, self._settings.steps, self._settings.inversion)

    def _sampling_step(self, inversion_step: int) -> int:
        """Sampling feeds the times of the inversion in reverse."""
        return self._settings.steps - 1 - inversion_step


class _WithReferences:
    """Runs the references' own latents of the same step before x through the network, and drops their outputs."""

    def __init__(self, denoiser: GuidedDenoiser, references: Sequence[Inverted]) -> None:
        self._denoiser = denoiser
        self._references = references

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        n = len(self._references)
        fed = np.stack([reference.trajectory[step] for reference in self._references])  # type: ignore[index]
        prediction = self._denoiser(jt.concat([jt.array(fed), x], dim=0), level, step)
        return Prediction(prediction.x0[n:], prediction.eps[n:])


def _call(on_step: Optional[OnStep]) -> None:
    if on_step is not None:
        on_step()
