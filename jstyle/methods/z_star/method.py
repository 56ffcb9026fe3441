"""Z* on latents: the paths of inversion, and contents that go from noise to picture beside their style."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np

from jstyle.diffusion.adain import adain
from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.samplers import ddim, ddim_invert
from jstyle.diffusion.schedule import Level, Prediction, Schedule
from jstyle.events import Evaluated
from jstyle.methods.layers import choose_layers
from jstyle.methods.z_star.editor import AttendToBoth
from jstyle.methods.z_star.settings import ZStarSettings
from jstyle.networks.editing import attached
from jstyle.pipelines.cost import Meter
from jstyle.pipelines.stable_diffusion import without_gradients
from jstyle.runtime import jt

Path = np.ndarray
"""Latents of an inversion, (steps + 1, channels, height, width), the noisiest first, the clean ones last."""


class ZStarOnLatents:
    """The method on one UNet, under the text (the empty prompt's) of ``denoiser``, one row that serves all.

    Its generators yield what has gone through the UNet, after every step, and return their result. Raises InputError
    when the settings name a layer that the UNet does not have.
    """

    def __init__(self, denoiser: GuidedDenoiser, schedule: Schedule, settings: ZStarSettings) -> None:
        self._denoiser = denoiser
        self._schedule = schedule
        self._settings = settings
        self._paths = choose_layers(denoiser.unet.sites, settings.layers)

    def invert(self, latents: jt.Var, stage: str) -> Generator[Evaluated, None, list[Path]]:
        """The path of each row of clean latents (batch, channels, height, width)."""
        settings, meter = self._settings, Meter(stage, self._denoiser)
        fed = [np.array(latents.numpy())]
        steps = ddim_invert(
            self._denoiser, latents, self._schedule, settings.steps, "target", fixed_point=settings.fixed_point
        )
        for step in without_gradients(steps):
            fed.append(np.array(step.x.numpy()))
            yield meter.read()
        return list(np.stack(fed[::-1], axis=1))

    def stylise(self, contents: Sequence[Path], style: Path) -> Generator[Evaluated, None, jt.Var]:
        """The contents in the style, which has their size: clean latents (contents, channels, height, width)."""
        denoiser = _BesideStyle(self._denoiser, self._paths, self._settings, contents, style)
        meter, x = Meter("stylisation", self._denoiser), jt.array(np.stack([path[0] for path in contents]))
        if self._settings.adain:
            x = adain(x, jt.array(style[:1]))
        for step in without_gradients(ddim(denoiser, x, self._schedule, self._settings.steps)):
            x = step.x
            yield meter.read()
        return x


class _BesideStyle:
    """A denoiser of contents that go through the UNet beside their style, at the steps that are edited."""

    def __init__(
        self,
        denoiser: GuidedDenoiser,
        paths: frozenset[str],
        settings: ZStarSettings,
        contents: Sequence[Path],
        style: Path,
    ) -> None:
        self._denoiser = denoiser
        self._paths = paths
        self._settings = settings
        self._contents = contents
        self._style = style
        self._editor = AttendToBoth(1, settings.style_scale, settings.content_scale)

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        """x is (contents, channels, height, width)."""
        pull, count = self._settings.content_pull, len(self._contents)
        x = x * (1.0 - pull) + jt.array(np.stack([path[step] for path in self._contents])) * pull
        if step not in self._settings.injected_steps:
            return self._denoiser(x, level, step)
        # The style's row is on its path in each step, whatever it has seen of the content in the one before.
        styles = jt.array(np.stack([self._style[step]] * count))
        with attached(self._denoiser.unet, self._editor, lambda site: site.path in self._paths):
            prediction = self._denoiser(jt.concat([styles, x], dim=0), level, step)
        return Prediction(prediction.x0[count:], prediction.eps[count:])
