"""Z* on latents: the paths of inversion, and contents that go from noise to picture beside their style."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Optional

import numpy as np

from jstyle.diffusion.adain import adain
from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.samplers import ddim, ddim_invert
from jstyle.diffusion.schedule import Level, Prediction, Schedule
from jstyle.events import Evaluated
from jstyle.methods.layers import choose_layers
from jstyle.methods.z_star.editor import AttendToBoth
from jstyle.methods.z_star.settings import ZStarSettings
from jstyle.networks import Condition, UNet2DConditionModel
from jstyle.networks.condition import join_conditions
from jstyle.networks.editing import attached
from jstyle.pipelines.cost import Meter
from jstyle.pipelines.stable_diffusion import without_gradients
from jstyle.runtime import jt

Path = np.ndarray
"""Latents of an inversion, (steps + 1, channels, height, width), the noisiest first, the clean ones last."""


@dataclass(frozen=True)
class Content:
    """A content by its path, and, where they were optimised, what each step of it is guided away from: (steps, tokens,
    hidden_size).
    """

    path: Path
    nulls: Optional[np.ndarray] = None


class ZStarOnLatents:
    """The method on one UNet, under the empty prompt's condition, one row that serves all.

    Its generators yield what has gone through the UNet, after every step, and return their result. Raises InputError
    when the settings name a layer that the UNet does not have.
    """

    def __init__(
        self, unet: UNet2DConditionModel, condition: Condition, schedule: Schedule, settings: ZStarSettings
    ) -> None:
        self._unet = unet
        self._condition = condition
        self._schedule = schedule
        self._settings = settings
        self._paths = choose_layers(unet.sites, settings.layers)

    def invert(self, latents: jt.Var, stage: str) -> Generator[Evaluated, None, list[Path]]:
        """The path of each row of clean latents (batch, channels, height, width)."""
        settings, denoiser = self._settings, self._open_denoiser()
        meter, fed = Meter(stage, denoiser), [np.array(latents.numpy())]
        steps = ddim_invert(
            denoiser, latents, self._schedule, settings.steps, "target", fixed_point=settings.fixed_point
        )
        for step in without_gradients(steps):
            fed.append(np.array(step.x.numpy()))
            yield meter.read()
        return list(np.stack(fed[::-1], axis=1))

    def stylise(self, contents: Sequence[Content], style: Path) -> Generator[Evaluated, None, jt.Var]:
        """The contents in the style, which has their size: clean latents (contents, channels, height, width).

        All contents have null texts, or none has.
        """
        denoiser = self._open_denoiser()
        beside = _BesideStyle(denoiser, self._condition, self._paths, self._settings, contents, style)
        meter, x = Meter("stylisation", denoiser), jt.array(np.stack([content.path[0] for content in contents]))
        if self._settings.adain:
            x = adain(x, jt.array(style[:1]))
        for step in without_gradients(ddim(beside, x, self._schedule, self._settings.steps)):
            x = step.x
            yield meter.read()
        return x

    def _open_denoiser(self) -> GuidedDenoiser:
        return GuidedDenoiser(self._unet, self._schedule.prediction_type, self._condition)


class _BesideStyle:
    """A denoiser of contents that go through the UNet beside their style, at the steps that are edited."""

    def __init__(
        self,
        denoiser: GuidedDenoiser,
        condition: Condition,
        paths: frozenset[str],
        settings: ZStarSettings,
        contents: Sequence[Content],
        style: Path,
    ) -> None:
        self._denoiser = denoiser
        self._condition = condition
        self._paths = paths
        self._settings = settings
        self._contents = contents
        self._style = style
        self._nulls = [content.nulls for content in contents if content.nulls is not None]
        halves = 2 if self._nulls else 1
        self._editor = AttendToBoth(halves, settings.style_scale, settings.content_scale)

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        """x is (contents, channels, height, width)."""
        pull, count = self._settings.content_pull, len(self._contents)
        x = x * (1.0 - pull) + jt.array(np.stack([content.path[step] for content in self._contents])) * pull
        if step not in self._settings.injected_steps:
            self._guide(step, copies=1)
            return self._denoiser(x, level, step)
        # The style's row is on its path in each step, whatever it has seen of the content in the one before.
        styles = jt.array(np.stack([self._style[step]] * count))
        self._guide(step, copies=2)
        with attached(self._denoiser.unet, self._editor, lambda site: site.path in self._paths):
            prediction = self._denoiser(jt.concat([styles, x], dim=0), level, step)
        return Prediction(prediction.x0[count:], prediction.eps[count:])

    def _guide(self, step: int, *, copies: int) -> None:
        """Guide away from the contents' null texts of a step, where there are any; a style's row from its content's."""
        if not self._nulls:
            return
        nulls = jt.array(np.stack([nulls[step] for nulls in self._nulls] * copies))
        conditional = self._condition.take([0] * nulls.shape[0])
        halves = [replace(conditional, text=nulls.cast(conditional.text.dtype)), conditional]
        self._denoiser.turn(join_conditions(halves), self._settings.guidance)
