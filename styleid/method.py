"""StyleID on latents: inversion with recording, AdaIN, and stylisation."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Optional, Union

import numpy as np

from jstyle.diffusion.adain import adain
from jstyle.diffusion.control import Steering
from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.samplers import Denoiser, Step, ddim, ddim_invert
from jstyle.diffusion.schedule import Level, Prediction, Schedule
from jstyle.events import Evaluated
from jstyle.methods.blocks import Role
from jstyle.networks import Condition, UNet2DConditionModel
from jstyle.networks.editing import AttentionEditor, attached
from jstyle.pipelines.cost import Meter
from jstyle.runtime import jt
from styleid.bank import Bank, Discarded, MemoryBank, Recorder, Sink
from styleid.inject import InjectFromBanks, injected_sites
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
    """The method on one UNet, under one text (the empty prompt's), (1, tokens, cross_attention_dim), or its condition.

    Its generators yield what has gone through the UNet, after every step, and return their result.
    ``paths`` are those of the injected layers. Raises InputError when the settings name a layer that the UNet does
    not have.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        text: Union[jt.Var, Condition],
        schedule: Schedule,
        settings: StyleIDSettings,
    ) -> None:
        self._unet = unet
        self._text = text
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
        x = yield from self._record_inversion(latents, role, sinks)
        return list(x)

    def trace(self, latents: jt.Var, role: Role) -> Generator[Evaluated, None, list[Inverted]]:
        """Invert, keeping for each row the latents that were fed to the UNet instead of its features."""
        fed: list[np.ndarray] = []
        # Recorded all the same: what is evaluated when decides how Jittor fuses, and so over last bits.
        sinks = [Discarded() for _ in range(latents.shape[0])]
        x = yield from self._record_inversion(latents, role, sinks, fed)
        trajectories = np.stack(fed[::-1], axis=1)  # (batch, sampling steps, channels, height, width)
        return [Inverted(latent, trajectory=t) for latent, t in zip(x, trajectories)]

    def _record_inversion(
        self, latents: jt.Var, role: Role, sinks: Sequence[Sink], fed: Optional[list[np.ndarray]] = None
    ) -> Generator[Evaluated, None, np.ndarray]:
        """The inverted latents. ``fed`` gets what the UNet was last fed in each step, whose features are recorded."""
        recorder, meter = Recorder(role, sinks, self._settings.feature_dtype), self._meter(role)
        x, last = latents, latents

        def denoise(x: jt.Var, level: Level, step: int) -> Prediction:
            nonlocal last
            last = x
            return self._denoiser(x, level, step)

        with jt.no_grad(), attached(self._unet, recorder, lambda site: site.path in self.paths):
            for step in self._invert(denoise, latents):
                recorder.flush(self._sampling_step(step.index))
                if fed is not None:
                    fed.append(np.array(last.numpy()))
                x = step.x
                yield meter.read()
        return np.array(x.numpy())

    def stylise(
        self, contents: Sequence[Inverted], style: Inverted, steering: Optional[Steering] = None
    ) -> Generator[Evaluated, None, jt.Var]:
        """The contents in the style, clean latents (contents, channels, height, width).

        ``steering`` acts here alone: inversions, whose features are injected, are never steered.
        """
        settings, start, steered = self._settings, self._settings.first_step, self._denoiser
        if steering is not None:
            kind = self._schedule.prediction_type
            steered = GuidedDenoiser(self._unet, kind, self._text, steering=steering)
        denoiser = _Injecting(self._denoiser, steered, self.paths, settings, contents, style)
        meter = Meter("stylisation", denoiser)
        denoiser.prepare(self._schedule.levels(settings.steps)[start], start)
        x = jt.array(np.stack([content.latent for content in contents]))
        if settings.adain:
            x = adain(x, jt.array(style.latent[None]), settings.adain_eps)
        with jt.no_grad():
            for step in ddim(denoiser, x, self._schedule, settings.steps, start=start):
                x = step.x
                yield meter.read()
        return x

    def _invert(self, denoiser: Denoiser, latents: jt.Var) -> Iterator[Step]:
        settings = self._settings
        return ddim_invert(
            denoiser, latents, self._schedule, settings.steps, settings.inversion, fixed_point=settings.fixed_point
        )

    def _sampling_step(self, inversion_step: int) -> int:
        """Sampling feeds the times of the inversion in reverse."""
        return self._settings.steps - 1 - inversion_step

    def _meter(self, role: Role) -> Meter:
        return Meter(f"{role} inversion", self._denoiser)


class _Injecting:
    """A denoiser, ``steered``, whose self-attention is that of the contents in the style, at the steps that inject.

    ``denoiser`` is that of the inversions, which computes features again.
    """

    def __init__(
        self,
        denoiser: GuidedDenoiser,
        steered: GuidedDenoiser,
        paths: frozenset[str],
        settings: StyleIDSettings,
        contents: Sequence[Inverted],
        style: Inverted,
    ) -> None:
        self._denoiser = denoiser
        self._steered = steered
        self._paths = paths
        self._settings = settings
        self._contents = contents
        self._style = style
        self._editor: Optional[tuple[int, AttentionEditor]] = None

    @property
    def evaluations(self) -> int:
        """The latents that have gone through the UNet."""
        return sum(one.evaluations for one in {self._denoiser, self._steered})

    def prepare(self, level: Level, step: int) -> None:
        """Have the features of a step at hand before what is to be denoised is built.

        What Jittor evaluates together it fuses, and how it fuses decides over last bits.
        """
        if step in self._settings.injected_steps:
            self._editor_of(level, step)

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        if step not in self._settings.injected_steps:
            return self._steered(x, level, step)
        return self._denoise_edited(self._steered, self._editor_of(level, step), x, level, step)

    def _editor_of(self, level: Level, step: int) -> AttentionEditor:
        if self._editor is None or self._editor[0] != step:
            contents = self._find_banks("content", self._contents, level, step)
            (style,) = self._find_banks("style", [self._style], level, step)
            self._editor = step, InjectFromBanks(contents, style, self._settings.gamma, self._settings.temperature)
        return self._editor[1]

    def _find_banks(self, role: Role, images: Sequence[Inverted], level: Level, step: int) -> list[Bank]:
        """The images' features, those of this step computed again where none are kept.

        They are then computed as they were first, in a call of their own, and rounded as they are kept: the same bits.
        """
        fed = [image.trajectory[step] for image in images if image.trajectory is not None]
        if not fed:
            return [image.bank for image in images if image.bank is not None]
        banks = [MemoryBank() for _ in images]
        recorder = Recorder(role, banks, self._settings.feature_dtype)
        self._denoise_edited(self._denoiser, recorder, jt.array(np.stack(fed)), level, step)
        recorder.flush(step)
        return list(banks)

    def _denoise_edited(
        self, denoiser: GuidedDenoiser, editor: AttentionEditor, x: jt.Var, level: Level, step: int
    ) -> Prediction:
        with attached(denoiser.unet, editor, lambda site: site.path in self._paths):
            return denoiser(x, level, step)
