"""Style Aligned from texts and pictures to pictures: a reference, and any number of targets in its style."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.noise import NoiseSource
from jstyle.diffusion.samplers import Denoiser, Step
from jstyle.diffusion.schedule import diffuse
from jstyle.errors import InputError
from jstyle.pictures import images
from jstyle.pipelines.image_to_image import first_step
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline, step_noise
from jstyle.runtime import jt
from style_align import panorama
from style_align.features import feature_bytes
from style_align.method import Aligned, Joint, run_batches
from style_align.reference import Recording, Reference, References
from style_align.request import AnyReference, ImageReference, Made, Target, TextReference, checked_weights, is_picture
from style_align.settings import StyleAlignSettings
from style_align.share import shared_sites
from style_align.trajectory import Trajectory, check, invert

MEMORY_SHARE = 0.5  # of the memory that is free, which "auto" gives to features

Progress = Callable[[str, int], None]


class StyleAlign:
    """Pictures in the style of one reference, or of several mixed by ``weights``.

    ``sharing`` and ``guidance`` are those in use, ``from_picture`` tells whether a reference is a picture.
    ``progress`` is told (stage, pictures) after every step. The model is changed only while the UNet runs. Raises
    InputError for sizes, layers and stored references that do not fit the model, and for weights that do not fit the
    references.
    """

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        settings: StyleAlignSettings,
        references: Sequence[AnyReference],
        weights: Optional[Sequence[float]] = None,
        progress: Optional[Progress] = None,
    ) -> None:
        self.from_picture = any(is_picture(one) for one in references)
        self.sharing = settings.sharing(self.from_picture)
        self.guidance = settings.guidance_scale(self.from_picture)
        self._pipe = pipe
        self._settings = settings
        self._progress = progress
        self._given = list(references)
        self._weights = checked_weights(weights, len(references))
        self._sampler = pipe.sampler(settings.sampler)
        self._shape, self._reference_shape = self._shapes()
        self._paths = shared_sites(pipe.unet, self.sharing)
        self._about = self._identity()
        if self.sharing.full_attention_share and len(references) > 1:
            raise InputError("full attention sharing takes one reference; leave it off to mix several")
        for number, one in enumerate(references, 1):
            if isinstance(one, Trajectory):
                check(one, self._about, f"saved reference {number}")
                if one.latents.shape[1] != self._shape[0]:
                    raise InputError(f"saved reference {number} has latents of another model; make it again")
        self._references: Optional[List[Reference]] = None
        self._joint: Optional[np.ndarray] = None

    def run(self, targets: Sequence[Target]) -> Iterator[Made]:
        """Make the targets and yield each as it is done.

        With features in memory, batch after batch is done; else all are done together, after the last step.
        """
        if not targets:
            return
        start, clean = self._start(targets)
        if self.sharing.full_attention_share:
            yield from self._finished(list(range(len(targets))), self._run_joint(targets, start, clean))
            return
        size = 1 if self._settings.panorama else self._settings.batch_size
        chunks = [list(range(i, min(i + size, len(targets)))) for i in range(0, len(targets), size)]
        together = self._together(len(chunks))
        sources = self._sources()
        for one in sources:
            one.keep(None if together else self._settings.feature_dtype)
        references = References(sources, self._weights, self.sharing)

        def batch(rows: List[int]) -> Callable[[], Iterator[Step]]:
            chosen = [targets[i] for i in rows]
            noised = None if clean is None else clean[rows]
            return lambda: self._sample(self._denoiser(chosen, references), chosen, start, noised)

        with jt.no_grad():
            done = run_batches(
                [batch(rows) for rows in chunks],
                together=together,
                on_step=lambda number: self._announce("pictures", len(chunks[number])),
            )
            for number, x in done:
                yield from self._finished(chunks[number], x)

    def reference_images(self) -> List[Image.Image]:
        """The references' pictures; a picture that was given comes back as the autoencoder keeps it."""
        ends = [self._joint] if self._joint is not None else [one.end() for one in self._sources()]
        return [images.to_images(self._pipe.decode_latents(jt.array(end[None])))[0] for end in ends]

    def trajectory(self, number: int = 0) -> Trajectory:
        """A reference for later runs."""
        given = self._given[number]
        if isinstance(given, Trajectory):
            return given
        if self._joint is not None:
            raise InputError("a reference that shared everything depends on its set and cannot be saved")
        times, latents = self._sources()[number].path()
        about = {**self._about, "inverted": isinstance(given, ImageReference)}
        return Trajectory(given.prompt, self._settings.negative_prompt, times, latents, about)

    def planned(self, targets: Sequence[Target]) -> int:
        """The picture steps of a run, for a progress bar."""
        settings = self._settings
        start = first_step(settings.steps, settings.image_strength) if any(one.image for one in targets) else 0
        inversions = sum(isinstance(one, ImageReference) for one in self._given)
        references = 0 if self.sharing.full_attention_share else len(self._given)
        calls = len(targets) * self._sampler.calls(settings.steps, start)
        return calls + references * self._sampler.calls(settings.steps) + inversions * settings.steps

    def _shapes(self) -> Tuple[Tuple[int, int, int], Tuple[int, int, int]]:
        """The latents of targets and of references; a panorama's reference is one window."""
        settings, pipe = self._settings, self._pipe
        if not settings.panorama:
            shape = pipe.latent_shape(settings.height, settings.width)
            return shape, shape
        shape = pipe.latent_shape(settings.height, settings.width or 2 * pipe.size)
        side = settings.window or pipe.unet.config.sample_size
        panorama.windows(*shape[1:], side, settings.stride, circular=settings.circular)
        return shape, (shape[0], min(side, shape[1]), min(side, shape[2]))

    def _identity(self) -> Dict[str, Any]:
        return {
            "model_hash": self._pipe.model_hash,
            "schedule": self._pipe.schedule.config.to_dict(),
            "steps": self._settings.steps,
            "sampler": self._sampler.name,
            "guidance": self.guidance,
        }

    def _sources(self) -> List[Reference]:
        """The references as sampling needs them; made once."""
        if self._references is None:
            self._references = [self._source(one) for one in self._given]
        return self._references

    def _source(self, given: AnyReference) -> Reference:
        settings = self._settings
        trajectory = given if isinstance(given, Trajectory) else None
        if isinstance(given, ImageReference):
            trajectory = self._inverted(given)
        negative = settings.negative_prompt if trajectory is None else trajectory.negative_prompt
        denoiser = self._pipe.denoiser([given.prompt], negative, self.guidance)
        recording = Recording(denoiser, self.sharing)

        def announce() -> None:
            self._announce("reference", 1)

        keep = settings.feature_dtype if settings.features == "memory" else None
        if trajectory is not None:
            offset = self._offset(given)
            return Reference(recording, trajectory=trajectory, offset=offset, keep=keep, on_step=announce)
        assert isinstance(given, TextReference)
        return Reference(
            recording, steps=lambda traced: self._generate(traced, given.seed), keep=keep, on_step=announce
        )

    def _generate(self, denoiser: Denoiser, seed: int) -> Iterator[Step]:
        """Plain text-to-image of a reference."""
        noise, settings = NoiseSource([seed]), self._settings
        scale = self._sampler.initial_scale(self._pipe.schedule, settings.steps)
        x = noise.normal("latents", self._reference_shape) * scale
        fresh = step_noise(noise, self._reference_shape)
        return self._sampler(denoiser, x, self._pipe.schedule, settings.steps, eta=settings.eta, noise=fresh)

    def _inverted(self, given: ImageReference) -> Trajectory:
        settings, factor = self._settings, self._pipe.vae.config.factor
        height, width = (size * factor for size in self._reference_shape[1:])
        clean = self._pipe.encode_images(jt.array(images.to_array([images.fit(given.image, width, height)])))
        denoiser = self._pipe.denoiser([given.prompt], settings.negative_prompt, settings.inversion_guidance)
        levels = self._sampler.levels(self._pipe.schedule, settings.steps, None)
        path = invert(denoiser, clean, levels, self._pipe.schedule, lambda: self._announce("inversion", 1))
        return Trajectory(given.prompt, settings.negative_prompt, about={**self._about, "inverted": True}, **path)

    def _start(self, targets: Sequence[Target]) -> Tuple[int, Optional[np.ndarray]]:
        """The first step, and the clean latents (targets, channels, height, width) of pictures to start from."""
        pictures = [target.image for target in targets if target.image is not None]
        if not pictures:
            return 0, None
        if len(pictures) != len(targets):
            raise InputError("give a picture to start from for all targets, or for none")
        factor = self._pipe.vae.config.factor
        height, width = (size * factor for size in self._shape[1:])
        arrays = images.to_array([images.fit(one, width, height) for one in pictures])
        clean = np.array(self._pipe.encode_images(jt.array(arrays)).numpy())
        return first_step(self._settings.steps, self._settings.image_strength), clean

    def _sample(
        self,
        denoiser: Denoiser,
        targets: Sequence[Target],
        start: int,
        clean: Optional[np.ndarray],
    ) -> Iterator[Step]:
        """A batch's sampler, from noise or from noised pictures."""
        noise = NoiseSource([target.seed for target in targets])
        settings, schedule = self._settings, self._pipe.schedule
        shape = self._shape
        unit = noise.normal("latents", shape)
        if clean is None:
            x = unit * self._sampler.initial_scale(schedule, settings.steps)
        else:
            level = self._sampler.levels(schedule, settings.steps, None)[start]
            x = diffuse(jt.array(clean), unit, level.alpha_bar)
        fresh = step_noise(noise, shape)
        return self._sampler(denoiser, x, schedule, settings.steps, start=start, eta=settings.eta, noise=fresh)

    def _denoiser(self, targets: Sequence[Target], references: References) -> Denoiser:
        settings = self._settings

        def aligned(prompts: Sequence[str]) -> Denoiser:
            return Aligned(self._guided(prompts), references, self.sharing)

        if not settings.panorama:
            return aligned([target.prompt for target in targets])
        side = settings.window or self._pipe.unet.config.sample_size
        places = panorama.windows(*self._shape[1:], side, settings.stride, circular=settings.circular)
        return panorama.Panorama(lambda count: aligned([targets[0].prompt] * count), places, settings.batch_size)

    def _guided(self, prompts: Sequence[str]) -> GuidedDenoiser:
        return self._pipe.denoiser(list(prompts), self._settings.negative_prompt, self.guidance)

    def _run_joint(self, targets: Sequence[Target], start: int, clean: Optional[np.ndarray]) -> np.ndarray:
        """The final latents of a set that shares everything; its reference's is kept."""
        given = self._given[0]
        denoiser = self._guided([given.prompt, *(target.prompt for target in targets)])
        generated = isinstance(given, TextReference) and start == 0
        rows = list(targets)
        if generated:
            rows = [Target(given.prompt, given.seed), *rows]  # type: ignore[union-attr]
            joint = Joint(denoiser, self.sharing)
        else:
            joint = Joint(denoiser, self.sharing, self.trajectory(), self._offset(given))
        final: Any = None
        with jt.no_grad():
            for step in self._sample(joint, rows, start, clean):
                self._announce("pictures", len(targets))
                final = step.x
        latents = np.array(final.numpy())
        if generated:
            self._joint = latents[0]
        return latents[1:] if generated else latents

    def _offset(self, given: AnyReference) -> int:
        return self._settings.steps_ahead if is_picture(given) else 0

    def _finished(self, rows: Sequence[int], x: np.ndarray) -> Iterator[Made]:
        side = self._reference_shape[2]
        for row, latent in zip(rows, x):
            with jt.no_grad():
                decoded = panorama.decode(self._pipe, jt.array(latent[None]), side, circular=self._settings.circular)
            if np.isfinite(decoded).all():
                yield Made(row, images.to_images(decoded)[0])
            else:
                yield Made(row, None, "the result is not finite (NaN or infinity)")

    def _together(self, chunks: int) -> bool:
        """Whether all batches go step by step with the reference, so that no features need to be kept."""
        chosen = self._settings.features
        if chosen != "auto" or chunks == 1:
            return chosen != "memory"
        itemsize = int(np.dtype(self._settings.feature_dtype).itemsize)
        halves = 1 + (self.guidance != 1.0)
        step = feature_bytes(self._pipe.unet, self._paths, self._reference_shape, halves, itemsize)
        return step * self._settings.steps * len(self._given) > MEMORY_SHARE * _free_memory()

    def _announce(self, stage: str, count: int) -> None:
        if self._progress is not None:
            self._progress(stage, count)


def _free_memory() -> int:
    """Bytes that can be had without swapping; nothing where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return int(os.sysconf("SC_AVPHYS_PAGES")) * int(os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError):
        return 0
