"""Style Aligned on latents: references, and any number of rows in their style."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from jstyle.diffusion.control import Steering
from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.noise import NoiseSource
from jstyle.diffusion.samplers import Denoiser, Step
from jstyle.diffusion.schedule import diffuse
from jstyle.errors import InputError
from jstyle.events import Evaluated
from jstyle.methods.room import count_features, fit_memory
from jstyle.pipelines.controls import NO_CONTROLS, Controls
from jstyle.pipelines.cost import Meter
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline, step_noise, without_gradients
from jstyle.pipelines.starts import first_step
from jstyle.runtime import jt
from jstyle.settings.reader import plain
from jstyle.settings.vocabulary import is_guided
from style_align.features import Recorder, shared_sites
from style_align.panorama import Panorama, WindowDenoiser, latent_shapes, windows
from style_align.reference import Reference, References, Trajectory, invert, load_same
from style_align.settings import StyleAlignSettings
from style_align.share import Aligned, Joint


@dataclass(frozen=True)
class Row:
    """A picture of a set on latents. ``clean`` (channels, height, width) are the latents of a picture: the reference
    that is inverted, or what a target starts from. Without them it starts from the noise of ``seed``.
    """

    prompt: str
    seed: int
    clean: Optional[np.ndarray] = None


LatentReference = Union[Row, Trajectory]
Aligning = Iterator[Union[Evaluated, tuple[int, np.ndarray]]]
"""(row, its final latents (channels, height, width)) as soon as they are there, and what was evaluated before."""


class StyleAlignedOnLatents:
    """Rows in the style of a reference, or of several mixed by ``weights``, which are equal by default.

    ``sharing`` and ``guidance`` are those that act, ``of_picture`` says whether a reference is a picture. The model
    is changed only while the UNet runs. Raises InputError for sizes, layers and stored references that do not fit the
    model, and for weights that do not fit the references.
    """

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        settings: StyleAlignSettings,
        references: Sequence[LatentReference],
        weights: Optional[Sequence[float]] = None,
    ) -> None:
        self.of_picture = any(_is_picture(reference) for reference in references)
        self.sharing = settings.choose_sharing(self.of_picture)
        self.guidance = settings.choose_guidance(self.of_picture)
        self._pipe = pipe
        self._settings = settings
        self._named = list(references)
        self._weights = check_weights(weights, len(references))
        self._sampler = pipe.sampler(settings.sampling.sampler, settings.sampling.sigmas)
        self._shape, self._reference_shape = latent_shapes(pipe, settings)
        self._paths = shared_sites(pipe.unet, self.sharing)
        self._about = self._describe_path()
        if self.sharing.full_attention_share and len(references) > 1:
            raise InputError("full attention sharing takes one reference; leave it off to mix several")
        for number, reference in enumerate(references, 1):
            if isinstance(reference, Trajectory):
                reference.check(self._about, f"saved reference {number}")
                if reference.latents.shape[1] != self._shape[0]:
                    raise InputError(f"saved reference {number} has latents of another model; make it again")
        self._references: list[Reference] = []  # opened when they are first needed
        self._joint: Optional[np.ndarray] = None

    def align(self, rows: Sequence[Row], controls: Controls = NO_CONTROLS) -> Aligning:
        """Make the rows, steered by ``controls``, which never steer a reference.

        With features in memory, batch after batch is done; else all are done together, after the last step. Raises
        InputError where some rows start from pictures and some do not, and for controls that cannot be theirs.
        """
        if not rows:
            return
        if len({row.clean is None for row in rows}) == 2:
            raise InputError("give a picture to start from for all targets, or for none")
        self._check_controls(controls)
        if self.sharing.full_attention_share:
            yield from enumerate((yield from self._align_jointly(rows)))
            return
        settings = self._settings
        size = 1 if settings.canvas.panorama else settings.sampling.batch_size
        batches = [list(range(len(rows)))[start : start + size] for start in range(0, len(rows), size)]
        together = self._go_together(len(batches))
        yield from self._open_references()
        for reference in self._references:
            reference.keep(None if together else settings.reference.feature_dtype)
        references = References(self._references, self._weights, self.sharing)
        meter = Meter("reference", references)
        runs = [
            self._sample_batch([rows[i] for i in batch], controls.take(batch, len(rows)), references, meter)
            for batch in batches
        ]
        for event in take_turns(runs, together=together):
            if isinstance(event, Evaluated):
                yield event
            else:
                number, x = event
                yield from zip(batches[number], x)

    def finish_references(self) -> Generator[Evaluated, None, list[np.ndarray]]:
        """Run what is left of the references' generation; returns their clean latents (channels, height, width)."""
        if self._joint is not None:
            return [self._joint]
        yield from self._open_references()
        for reference in self._references:
            meter = Meter("reference", reference)
            while reference.advance():
                yield meter.read()
        return [reference.path()[1][-1] for reference in self._references]

    def make_trajectory(self) -> Generator[Evaluated, None, Trajectory]:
        """The first reference, for later runs. Raises InputError where it depends on its set."""
        reference = self._named[0]
        if isinstance(reference, Trajectory):
            return reference
        if self._joint is not None:
            raise InputError("a reference that shared everything depends on its set and cannot be saved")
        yield from self.finish_references()
        times, latents = self._references[0].path()
        return self._name_path(reference, times, latents)

    def check_saved(self, file: Path) -> None:
        """Raise InputError where a file holds another reference than the first, as far as that is known beforehand."""
        reference = self._named[0]
        path = reference if isinstance(reference, Trajectory) else self._name_path(reference, (), np.empty(0))
        load_same(file, path.prompt, path.negative_prompt, path.about)

    def _describe_path(self) -> dict[str, Any]:
        return {
            "model_hash": self._pipe.model_hash,
            "schedule": self._pipe.schedule.config.to_dict(),
            "steps": self._settings.sampling.steps,
            "sampler": self._sampler.name,
            "sigmas": self._sampler.sigmas,
            "guidance": self.guidance,
            **plain(self._settings.reading),
        }

    def _name_path(self, reference: Row, times: tuple[float, ...], latents: np.ndarray) -> Trajectory:
        about = {**self._about, "inverted": reference.clean is not None}
        return Trajectory(reference.prompt, self._settings.sampling.negative_prompt, times, latents, about)

    def _open_references(self) -> Iterator[Evaluated]:
        """Make the references as sampling needs them, once; pictures are inverted."""
        for named in self._named[len(self._references) :]:
            trajectory = named if isinstance(named, Trajectory) else None
            if isinstance(named, Row) and named.clean is not None:
                trajectory = self._name_path(named, *(yield from self._invert(named, named.clean)))
            self._references.append(self._open_reference(named, trajectory))

    def _open_reference(self, named: LatentReference, trajectory: Optional[Trajectory]) -> Reference:
        settings = self._settings
        negative = settings.sampling.negative_prompt if trajectory is None else trajectory.negative_prompt
        recorder = Recorder(self._denoiser([named.prompt], negative, self.guidance), self.sharing)
        keep = settings.reference.feature_dtype if settings.reference.features == "memory" else None
        if trajectory is not None:
            return Reference(recorder, trajectory=trajectory, offset=self._choose_offset(named), keep=keep)
        assert isinstance(named, Row)
        return Reference(recorder, steps=lambda traced: self._generate(traced, named.seed), keep=keep)

    def _generate(self, denoiser: Denoiser, seed: int) -> Iterator[Step]:
        """Plain text-to-image of a reference."""
        noise, sampling = NoiseSource([seed]), self._settings.sampling
        scale = self._sampler.initial_scale(self._pipe.schedule, sampling.steps)
        x = noise.normal("latents", self._reference_shape) * scale
        fresh = step_noise(noise, self._reference_shape)
        return self._sampler(denoiser, x, self._pipe.schedule, sampling.steps, eta=sampling.eta, noise=fresh)

    def _invert(
        self, reference: Row, clean: np.ndarray
    ) -> Generator[Evaluated, None, tuple[tuple[float, ...], np.ndarray]]:
        sampling, guidance = self._settings.sampling, self._settings.reference.inversion_guidance
        negative = sampling.negative_prompt if is_guided(guidance) else ""
        denoiser = self._denoiser([reference.prompt], negative, guidance)
        levels = self._sampler.levels(self._pipe.schedule, sampling.steps, None)
        calls = self._settings.reference.fixed_point
        return (yield from invert(denoiser, jt.array(clean[None]), levels, self._pipe.schedule, calls))

    def _check_controls(self, controls: Controls) -> None:
        if not controls.shown:
            if self._settings.controls.controlnet:
                raise InputError("the settings name ControlNets: give their maps")
            return
        if self._settings.canvas.panorama:
            raise InputError("a panorama takes no ControlNet: leave controlnet out")
        if self.sharing.full_attention_share:
            raise InputError("full attention sharing takes no ControlNet: leave one of the two out")
        controls.check(self._pipe)

    def _sample_batch(
        self, rows: Sequence[Row], controls: Controls, references: References, reference_meter: Meter
    ) -> Iterator[Union[Evaluated, Step]]:
        """A batch's steps, each behind what it took; nothing happens before the first is asked for."""
        steps = self._settings.sampling.steps
        steering = controls.steer(self._pipe, self._shape[1:], len(rows), steps, self._choose_start(rows))
        denoiser = self._make_denoiser(rows, references, steering)
        meter = Meter("pictures", denoiser)
        for step in self._sample(denoiser, rows):
            yield from (event for event in (reference_meter.read(), meter.read()) if event.count)
            yield step

    def _sample(self, denoiser: Denoiser, rows: Sequence[Row]) -> Iterator[Step]:
        """The sampler of some rows, from noise or from noised pictures."""
        noise = NoiseSource([row.seed for row in rows])
        sampling, schedule, start = self._settings.sampling, self._pipe.schedule, self._choose_start(rows)
        x = noise.normal("latents", self._shape)
        clean = [row.clean for row in rows if row.clean is not None]
        if clean:
            level = self._sampler.levels(schedule, sampling.steps, None)[start]
            x = diffuse(jt.array(np.stack(clean)), x, level.alpha_bar)
        else:
            x = x * self._sampler.initial_scale(schedule, sampling.steps)
        fresh = step_noise(noise, self._shape)
        return self._sampler(denoiser, x, schedule, sampling.steps, start=start, eta=sampling.eta, noise=fresh)

    def _choose_start(self, rows: Sequence[Row]) -> int:
        """The step that they start with."""
        sampling = self._settings.sampling
        return 0 if rows[0].clean is None else first_step(sampling.steps, sampling.image_strength)

    def _make_denoiser(
        self, rows: Sequence[Row], references: References, steering: Optional[Steering]
    ) -> WindowDenoiser:
        def align(prompts: Sequence[str]) -> Aligned:
            return Aligned(self._guide(prompts, steering), references, self.sharing)

        canvas = self._settings.canvas
        if not canvas.panorama:
            return align([row.prompt for row in rows])
        side = canvas.window or self._pipe.unet.config.sample_size
        places = windows(*self._shape[1:], side, canvas.stride, circular=canvas.circular)
        return Panorama(lambda count: align([rows[0].prompt] * count), places, self._settings.sampling.batch_size)

    def _guide(self, prompts: Sequence[str], steering: Optional[Steering] = None) -> GuidedDenoiser:
        return self._denoiser(prompts, self._settings.sampling.negative_prompt, self.guidance, steering)

    def _denoiser(
        self, prompts: Sequence[str], negative_prompt: str, guidance: float, steering: Optional[Steering] = None
    ) -> GuidedDenoiser:
        reading = self._settings.reading
        return self._pipe.denoiser(list(prompts), negative_prompt or None, guidance, reading=reading, steering=steering)

    def _align_jointly(self, rows: Sequence[Row]) -> Generator[Evaluated, None, np.ndarray]:
        """The final latents of a set that shares everything; its reference's is kept."""
        reference = self._named[0]
        is_generated = isinstance(reference, Row) and reference.clean is None and rows[0].clean is None
        batch = list(rows)
        if is_generated:
            batch, trajectory = [reference, *batch], None
        else:
            trajectory = yield from self.make_trajectory()
        denoiser = self._guide([reference.prompt, *(row.prompt for row in rows)])
        joint = Joint(denoiser, self.sharing, trajectory, self._choose_offset(reference))
        meter, x = Meter("pictures", joint), None
        for step in without_gradients(self._sample(joint, batch)):
            yield meter.read()
            x = step.x
        assert x is not None  # every sampler takes at least one step
        latents = np.array(x.numpy())
        if is_generated:
            self._joint, latents = latents[0], latents[1:]
        return latents

    def _choose_offset(self, reference: LatentReference) -> int:
        return self._settings.offset if _is_picture(reference) else 0

    def _go_together(self, batches: int) -> bool:
        """Whether all batches go step by step with the reference, so that no features need to be kept."""
        features = self._settings.reference.features
        if features != "auto" or batches == 1:
            return features != "memory"
        itemsize = int(np.dtype(self._settings.reference.feature_dtype).itemsize)
        keys_and_values = 2 * (1 + is_guided(self.guidance))
        step = keys_and_values * count_features(self._pipe.unet, self._paths, self._reference_shape) * itemsize
        return not fit_memory(step * self._settings.sampling.steps * len(self._named))


def take_turns(runs: Sequence[Iterator[Union[Evaluated, Step]]], *, together: bool) -> Aligning:
    """Run several samplings to their ends; yields (run, final x) when one is done, and what was evaluated before.

    ``together`` takes one step of every run before the next step of any, so that nothing of a reference's step has
    to be kept for later; else run after run goes to its end.
    """
    ends: list[Any] = [None] * len(runs)

    def advance(number: int) -> Generator[Evaluated, None, bool]:
        """Take a step; False after the last."""
        while True:
            with jt.no_grad():
                event = next(runs[number], None)
            if isinstance(event, Evaluated):
                yield event
                continue
            if event is not None:
                ends[number] = event.x
            return event is not None

    are_running = [together]
    while all(are_running):
        are_running = []
        for number in range(len(runs)):
            are_running.append((yield from advance(number)))
    for number in range(len(runs)):
        while (yield from advance(number)):
            pass
        yield number, np.array(ends[number].numpy())


def check_weights(weights: Optional[Sequence[float]], count: int) -> list[float]:
    """One weight a reference, equal ones by default. Raises InputError for others that do not fit."""
    if count == 0:
        raise InputError("there is no reference")
    checked = [1.0] * count if weights is None else [float(weight) for weight in weights]
    if len(checked) != count:
        raise InputError(f"{len(checked)} weights for {count} references; give one each")
    if not all(0.0 < weight < float("inf") for weight in checked):
        raise InputError("the weights of references must be positive; leave a reference out instead")
    return checked


def _is_picture(reference: LatentReference) -> bool:
    """Whether a reference is, or was made from, a picture."""
    return reference.inverted if isinstance(reference, Trajectory) else reference.clean is not None
