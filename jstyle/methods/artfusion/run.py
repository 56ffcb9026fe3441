"""ArtFusion on pictures."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from typing import Optional, Union

import numpy as np
from PIL import Image

from jstyle.diffusion.noise import NoiseSource
from jstyle.diffusion.samplers import ddim
from jstyle.events import Evaluated
from jstyle.methods.artfusion.settings import ArtFusionSettings
from jstyle.methods.constructing import require_parts
from jstyle.methods.pairs import Pair, Stylised, list_pairs, split_batches, stylise_one
from jstyle.pictures import images
from jstyle.pictures.fitting import Frame
from jstyle.pipelines.artfusion import ArtFusionPipeline
from jstyle.pipelines.cost import Meter
from jstyle.runtime import jt


class ArtFusion:
    """Puts contents into the styles of pictures by a model of its own (arXiv 2306.09330).

        pipe = jstyle.ArtFusionPipeline.from_pretrained("artfusion.safetensors")
        picture = jstyle.ArtFusion(pipe, jstyle.ArtFusionSettings(style_scale=2.0))(content, style)

    Raises InputError for a size that the model cannot take.
    """

    def __init__(
        self,
        pipe: ArtFusionPipeline,
        settings: ArtFusionSettings = ArtFusionSettings(),  # noqa: B008  (frozen)
    ) -> None:
        require_parts("ArtFusion", pipe, ArtFusionPipeline, settings, ArtFusionSettings)
        self._pipe, self._settings = pipe, settings
        self._frame = pipe.make_frame(settings.width, settings.height, settings.fit)
        self._style_frame = Frame(settings.style_side, settings.style_side, settings.fit, multiple=1)

    def __call__(self, content: Image.Image, style: Image.Image) -> Image.Image:
        """The content in the style, of the size that it comes to. Raises InputError where it is not finite."""
        return stylise_one(self, content, style)

    def stylise_pairs(
        self,
        contents: Sequence[Image.Image],
        styles: Sequence[Image.Image],
        pairs: Optional[Collection[Pair]] = None,
    ) -> Iterator[Union[Evaluated, Stylised]]:
        """Every pair, all of them by default, as it is done, style by style, with `Evaluated` after each step."""
        ordered = sorted(
            list_pairs(len(contents), len(styles)) if pairs is None else pairs, key=lambda pair: pair[::-1]
        )
        fitted = {content: self._frame.fit(contents[content]) for content, _ in ordered}
        for style in dict.fromkeys(style for _, style in ordered):
            told = self._pipe.describe_style(_stack([self._style_frame.fit(styles[style])]))
            of_style = [content for content, other in ordered if other == style]
            for batch in split_batches(of_style, self._settings.batch_size, lambda content: fitted[content].size):
                latents = self._pipe.encode_images(_stack([fitted[content] for content in batch]))
                x = yield from self._sample(self._pipe.describe_content(latents), told)
                for row, content in enumerate(batch):
                    yield Stylised.from_array(content, style, self._pipe.decode_latents(x[row : row + 1]))

    def _sample(self, content: jt.Var, style: jt.Var) -> Generator[Evaluated, None, jt.Var]:
        """Latents (batch, channels, height, width) of contents in one style (1, style_width)."""
        settings, rows = self._settings, content.shape[0]
        noise = NoiseSource([settings.seed] * rows)
        scales = settings.content_scale, settings.style_scale
        denoiser = self._pipe.denoiser(content, style.expand((rows, style.shape[1])), *scales)
        meter, shape = Meter("stylisation", denoiser), content.shape[1:]
        x = self._draw_start(noise, shape)
        steps = ddim(
            denoiser, x, self._pipe.schedule, settings.steps, eta=settings.eta,
            noise=lambda step: noise.normal(f"step {step}", shape),
        )  # fmt: skip
        for step in steps:
            x = step.x
            yield meter.read()
        return x

    def _draw_start(self, noise: NoiseSource, shape: Sequence[int]) -> jt.Var:
        if self._settings.start == "normal":
            return noise.normal("start", shape)
        rows = [np.random.default_rng(seed).random(tuple(shape), np.float32) for seed in noise.seeds]
        return jt.array(np.stack(rows))


def _stack(pictures: Sequence[Image.Image]) -> jt.Var:
    """Pictures of one size as (batch, 3, height, width) in [-1, 1]."""
    return jt.array(images.to_array(pictures))
