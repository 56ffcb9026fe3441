"""Prompt-to-Prompt on latents: a source, and any number of edits of it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Optional, Union

import numpy as np

from jstyle.diffusion.noise import NoiseSource
from jstyle.diffusion.samplers import AfterStep, Denoiser, Step
from jstyle.diffusion.schedule import Level, Prediction
from jstyle.errors import InputError
from jstyle.events import Evaluated, Updated
from jstyle.methods.null_text import NullTextSettings, optimise_null_text
from jstyle.methods.pairs import split_batches
from jstyle.methods.prompt_to_prompt.blend import WordMaps
from jstyle.methods.prompt_to_prompt.editor import EditAttention, repeat_row
from jstyle.methods.prompt_to_prompt.plan import EditPlan
from jstyle.methods.prompt_to_prompt.settings import PromptToPromptSettings
from jstyle.methods.prompt_to_prompt.source import GeneratedSource, GivenSource, Source, invert_path
from jstyle.methods.prompt_to_prompt.weights import EditWeights
from jstyle.networks.editing import attached
from jstyle.pipelines.cost import Meter
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline, step_noise, without_gradients
from jstyle.runtime import jt

Told = Union[Evaluated, Updated]

SOURCE = 0
"""The source's number; edits are counted from 1."""


class PromptToPromptOnLatents:
    """Edits of one source, under ``settings`` whose levels are set.

    ``clean`` (channels, height, width) are a given picture's latents. Without them the source is generated from the
    noise of ``seed``, with latents of ``shape``. ``null_texts`` is the folder that keeps optimised null texts.

    Raises InputError for a sampler that cannot follow a picture, for null texts of one that is generated, and for
    layers that the model does not have.
    """

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        settings: PromptToPromptSettings,
        prompt: str,
        targets: Sequence[str],
        *,
        shape: Sequence[int] = (),
        seed: int = 0,
        clean: Optional[np.ndarray] = None,
        null_texts: Optional[Path] = None,
    ) -> None:
        if clean is not None and settings.sampler != "ddim":
            raise InputError(f"a picture is inverted by ddim, so {settings.sampler} cannot edit it; use --sampler ddim")
        if clean is None and settings.null_text:
            raise InputError("null_text is for a given picture: give --image too")
        if settings.null_text and pipe.unet.config.has_addition:
            raise InputError("null_text changes what a UNet reads of one text, and SDXL's reads more: leave it at 0")
        self._pipe = pipe
        self._settings = settings
        self._prompt = prompt
        self._targets = list(targets)
        self._shape = tuple(shape)
        self._noise = NoiseSource([seed])
        self._clean = clean
        self._null_texts = null_texts
        self._sampler = pipe.sampler(settings.sampler)
        calls = len(self._sampler.list_calls(pipe.schedule, settings.steps))
        self._plan = EditPlan(settings, pipe.unet.sites, calls)

    def edit(self, wanted: Sequence[int]) -> Iterator[Union[Told, tuple[int, np.ndarray]]]:
        """(number, clean latents (channels, height, width)) of the source and the edits of these numbers, at the end.

        Yields what has gone through the UNet on the way, after each step.
        """
        numbers = [number for number in wanted if number != SOURCE]
        batches = list(split_batches(numbers, self._settings.batch_size))
        source = yield from self._open_source(traced=bool(numbers))
        source_meter = Meter("source", source)
        if numbers:
            source.begin()
        denoisers = [
            EditDenoiser(self._pipe, self._settings, self._plan, source, self._take(batch)) for batch in batches
        ]
        meters = [source_meter, *(Meter("edits", denoiser) for denoiser in denoisers)]
        ends: Sequence[Step] = ()
        for steps in zip(*(without_gradients(self._sample_edits(denoiser, source)) for denoiser in denoisers)):
            ends = steps
            yield from (event for event in (meter.read() for meter in meters) if event.count)
        if SOURCE in wanted:
            yield from source.finish()
            yield SOURCE, np.array(source.latents.numpy())[0]
        for batch, end in zip(batches, ends):
            yield from zip(batch, np.array(end.x.numpy()))

    def _take(self, batch: Sequence[int]) -> list[str]:
        """The source's text and those of a batch."""
        return [self._prompt, *(self._targets[number - 1] for number in batch)]

    def _open_source(self, *, traced: bool) -> Generator[Told, None, Source]:
        settings = self._settings
        if self._clean is None:
            denoiser = self._pipe.denoiser([self._prompt], settings.negative_prompt or None, settings.guidance)
            return GeneratedSource(denoiser, self._plan.choose_paths, self._draw_first(), self._sample)
        denoiser, path = self._pipe.denoiser([self._prompt]), self._clean[None]
        if traced:
            clean, schedule = jt.array(path), self._pipe.schedule
            path = yield from invert_path(denoiser, clean, schedule, settings.steps, settings.fixed_point)
        nulls = (yield from self._optimise_null_text(path)) if traced and settings.null_text else None
        return GivenSource(denoiser, self._plan.choose_paths, path, nulls)

    def _optimise_null_text(self, path: np.ndarray) -> Generator[Told, None, np.ndarray]:
        settings = self._settings
        chosen = NullTextSettings(settings.guidance, settings.steps, settings.null_text, settings.null_text_rate)
        text, null = (self._pipe.encode_texts(one) for one in (self._prompt, settings.negative_prompt))
        return (yield from optimise_null_text(self._pipe, chosen, path, text, null, self._null_texts))

    def _draw_first(self) -> jt.Var:
        scale = self._sampler.initial_scale(self._pipe.schedule, self._settings.steps)
        return self._noise.normal("latents", self._shape) * scale

    def _sample_edits(self, denoiser: EditDenoiser, source: Source) -> Iterator[Step]:
        """A batch of edits from where the source begins, with the source's noise."""
        return self._sample(denoiser, repeat_row(source.first, denoiser.rows), denoiser.blend)

    def _sample(self, denoiser: Denoiser, x: jt.Var, after_step: Optional[AfterStep] = None) -> Iterator[Step]:
        """The sampler on some rows, which have the same noise."""
        fresh, steps = step_noise(self._noise, self._shape), self._settings.steps

        def draw(index: int) -> jt.Var:
            return repeat_row(fresh(index), x.shape[0])

        return self._sampler(denoiser, x, self._pipe.schedule, steps, noise=draw, after_step=after_step)


class EditDenoiser:
    """A denoiser of edits that go step by step with their source; ``texts`` are the source's and, behind it, theirs."""

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        settings: PromptToPromptSettings,
        plan: EditPlan,
        source: Source,
        texts: Sequence[str],
    ) -> None:
        self._pipe = pipe
        self._settings = settings
        self._plan = plan
        self._source = source
        self._texts = list(texts)
        self._denoiser = pipe.denoiser(self._texts[1:], settings.negative_prompt or None, settings.guidance)
        self.rows = len(self._texts) - 1

    @property
    def evaluations(self) -> int:
        """The edits' latents that have gone through the UNet."""
        return self._denoiser.evaluations

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        """x is (edits, channels, height, width)."""
        x.sync()  # before the source: else Jittor fuses what x waits for otherwise, where it is evaluated now
        features = self._source.record(step, level)
        null = self._source.against(step)
        if null is not None:
            rows = jt.concat([repeat_row(null, self.rows), self._encoded], dim=0)
            self._denoiser.turn(rows, self._settings.guidance)
        if not features:
            return self._denoiser(x, level, step)
        cross = self._weights.at(step) if self._plan.edits_words(step) else None
        maps = self._maps if self._plan.map_paths else None
        editor = EditAttention(features, self.rows, cross, maps)
        with attached(self._denoiser.unet, editor, lambda site: site.path in features):
            return self._denoiser(x, level, step)

    def blend(self, x: jt.Var, step: int, level: Level) -> jt.Var:
        """The edits after a step, with the source where none of the blend words looks."""
        if not self._plan.blends(step) or self._maps.is_empty:
            return x
        assert self._settings.blend_level is not None
        masks = self._maps.draw_masks(x.shape[2:], self._settings.blend_level, self._settings.blend_threshold)
        source = self._source.follow(step)
        return source + jt.array(masks) * (x - source)

    @cached_property
    def _encoded(self) -> jt.Var:
        return self._pipe.encode_texts(self._texts[1:])

    @cached_property
    def _weights(self) -> EditWeights:
        return EditWeights(self._pipe.tokenizer, self._texts[0], self._texts[1:], self._settings, self._plan.calls)

    @cached_property
    def _maps(self) -> WordMaps:
        return WordMaps(self._weights.blended, self._plan.map_paths)
