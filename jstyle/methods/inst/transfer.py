"""InST from pictures to pictures: contents in learnt styles."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import List, Optional

from PIL import Image

from jstyle.diffusion.adain import adain
from jstyle.diffusion.noise import NoiseSource
from jstyle.diffusion.samplers import ddim
from jstyle.diffusion.schedule import diffuse
from jstyle.methods.inst.method import noised_level, stochastic_inversion
from jstyle.methods.inst.settings import InstSettings
from jstyle.methods.inst.styles import Style
from jstyle.methods.pairs import Pair, Stylised, all_pairs, batches
from jstyle.pictures import images
from jstyle.pipelines.image_to_image import first_step
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt

Progress = Callable[[str, int], None]

ADAIN_EPS = 1e-5  # as the paper's code, so that a channel of one value divides


class Transfer:
    """A run of InST over pictures. The pipeline knows a style's word while its pictures are made, and no longer.

    ``progress`` is told (stage, pictures) after every call of the UNet. Raises InputError for a size the model cannot
    take.
    """

    def __init__(
        self, pipe: StableDiffusionPipeline, settings: InstSettings, progress: Optional[Progress] = None
    ) -> None:
        self._shape = pipe.latent_shape(settings.height, settings.width)
        self._start = first_step(settings.steps, settings.strength)
        self._level = pipe.schedule.levels(settings.steps)[self._start]
        self._pipe = pipe
        self._settings = settings
        self._progress = progress

    def run(
        self, contents: Sequence[Image.Image], styles: Sequence[Style], wanted: Optional[Collection[Pair]] = None
    ) -> Iterator[Stylised]:
        """Yield every wanted (content, style) pair, all pairs by default, as it is done, style by style.

        Raises InputError for a style that was learnt with a text encoder of another width.
        """
        pairs = sorted(wanted if wanted is not None else all_pairs(len(contents), len(styles)), key=lambda p: p[::-1])
        for style in dict.fromkeys(style for _, style in pairs):
            reference = self._encode([styles[style].picture]) if self._settings.adain else None
            own = [content for content, one in pairs if one == style]
            for batch in batches(own, self._settings.batch_size):
                with self._knowing(styles[style]):
                    clean = self._encode([contents[i] for i in batch])
                    x = self.stylise(clean, styles[style].learnt.token, reference)
                for row, content in enumerate(batch):
                    yield Stylised.decoded(content, style, self._pipe.decode_latents(x[row : row + 1]))

    def stylise(self, clean: jt.Var, token: str, reference: Optional[jt.Var] = None) -> jt.Var:
        """Contents' latents (batch, channels, height, width) in the style of a word that the pipeline knows.

        ``reference`` is the latent (1, channels, height, width) whose mean and deviation they are given first.
        """
        settings, pipe, count = self._settings, self._pipe, clean.shape[0]
        texts = [settings.prompt.replace("{token}", token)] * count
        with jt.no_grad():
            if reference is not None:
                clean = adain(clean, reference, ADAIN_EPS)
            noise = NoiseSource([settings.seed] * count).normal("stochastic inversion", self._shape)
            if settings.inversion == "stochastic":
                level = noised_level(pipe.schedule, settings.strength)
                noise = stochastic_inversion(pipe.denoiser(texts), clean, noise, level)
                noise.sync()
                self._announce("inversion", count)
            x = diffuse(clean, noise, self._level.alpha_bar)
            denoiser = pipe.denoiser(texts, "", settings.guidance)
            for step in ddim(denoiser, x, pipe.schedule, settings.steps, start=self._start):
                x = step.x
                self._announce("stylisation", count)
        return x

    def calls_planned(self, pairs: Collection[Pair]) -> int:
        """How often the UNet will be called, a batch counted for each of its pictures."""
        each = self._settings.steps - self._start + (self._settings.inversion == "stochastic")
        return len(pairs) * each

    @contextmanager
    def _knowing(self, style: Style) -> Iterator[None]:
        vocabulary = self._pipe.vocabulary
        vocabulary.learn(style.learnt.token, style.learnt.embedding)
        try:
            yield
        finally:
            vocabulary.remove([style.learnt.token])

    def _encode(self, pictures: List[Image.Image]) -> jt.Var:
        _, height, width = self._shape
        factor = self._pipe.vae.config.factor
        fitted = [images.fit(picture, width * factor, height * factor) for picture in pictures]
        return self._pipe.encode_images(jt.array(images.to_array(fitted)))

    def _announce(self, stage: str, count: int) -> None:
        if self._progress is not None:
            self._progress(stage, count)
