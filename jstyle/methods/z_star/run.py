"""Z* on pictures: N contents in M styles of one shape for N + M inversions."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from typing import Optional, Union

import numpy as np
from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Evaluated, closing
from jstyle.methods.blocks import Role, order_blocks
from jstyle.methods.constructing import require_parts
from jstyle.methods.kept import Kept
from jstyle.methods.null_text import NullTextSettings, optimise_null_text
from jstyle.methods.pairs import Pair, Stylised, fill_size, list_pairs, stylise_one
from jstyle.methods.z_star.method import Content, Path, ZStarOnLatents
from jstyle.methods.z_star.settings import ZStarSettings
from jstyle.pictures import images
from jstyle.pictures.fitting import Size
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt

Cut = tuple[Role, int, Size]
"""A picture by its role and number, and the size that it is inverted at."""


class ZStar:
    """Puts contents into the styles of pictures (arXiv 2311.16491).

    >>> import jstyle
    >>> from PIL import Image
    >>> pipe = jstyle.StableDiffusionPipeline.from_pretrained("tiny")
    >>> content = Image.open("samples/content/house_by_the_sea.png")
    >>> style = Image.open("samples/style/woodcut.png")
    >>> jstyle.ZStar(pipe, jstyle.ZStarSettings(steps=10))(content, style).size
    (256, 256)

    Raises InputError for a size the model cannot take, layers it does not have, and null texts of SDXL.
    """

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        settings: ZStarSettings = ZStarSettings(),  # noqa: B008  (frozen)
    ) -> None:
        require_parts("ZStar", pipe, StableDiffusionPipeline, settings, ZStarSettings)
        self._settings = fill_size(settings, pipe)
        self._frame = pipe.make_frame(self._settings.width, self._settings.height, self._settings.fit)
        self._pipe = pipe
        condition = pipe.condition_texts("")
        if settings.null_text and condition.pooled is not None:
            raise InputError("null_text is for Stable Diffusion 1.x and 2.x: leave it at 0")
        self._latents = ZStarOnLatents(pipe.unet, condition, pipe.schedule, self._settings)

    def __call__(self, content: Image.Image, style: Image.Image) -> Image.Image:
        """The content in the style, of the size that it comes to. Raises InputError where it is not finite."""
        return stylise_one(self, content, style)

    def stylise_pairs(
        self,
        contents: Sequence[Image.Image],
        styles: Sequence[Image.Image],
        pairs: Optional[Collection[Pair]] = None,
    ) -> Iterator[Union[Evaluated, Stylised]]:
        """Every pair, all of them by default, as it is done, with `Evaluated` after each step.

        A picture is inverted when a pair first needs it, a style once for each size of contents; what that leaves
        stays until its last pair is done.
        """
        pairs = list_pairs(len(contents), len(styles)) if pairs is None else pairs
        sizes = {content: self._frame.fit(contents[content]).size for content, _ in pairs}
        inversions: Kept[Cut, Content] = Kept(lambda cuts: self._invert(cuts, contents, styles))
        for block in order_blocks(pairs, self._settings.batch_size, lambda content: sizes[content]):
            size = sizes[block.contents[0]]
            (style,) = yield from inversions.fetch([("style", block.style, size)])
            batch = yield from inversions.fetch([("content", content, size) for content in block.contents])
            x = yield from self._latents.stylise(batch, style.path)
            del style, batch
            inversions.forget([(*picture, size) for picture in block.last for size in set(sizes.values())])
            for row, content in enumerate(block.contents):
                yield Stylised.from_array(content, block.style, self._pipe.decode_latents(x[row : row + 1]))

    def _invert(
        self, cuts: Sequence[Cut], contents: Sequence[Image.Image], styles: Sequence[Image.Image]
    ) -> Generator[Evaluated, None, list[Content]]:
        """Pictures of one role and size, inverted; contents with their null texts, where these are wanted."""
        role, _, size = cuts[0]
        is_cut = role == "style" and self._settings.fit == "keep"
        pictures = [(styles if role == "style" else contents)[number] for _, number, _ in cuts]
        fitted = [images.fit(picture, *size) if is_cut else self._frame.fit(picture) for picture in pictures]
        latents = self._pipe.encode_images(jt.array(images.to_array(fitted)))
        paths = yield from self._latents.invert(latents, f"{role} inversion")
        inverted = [Content(path) for path in paths]
        if role == "content" and self._settings.null_text:
            for number, path in enumerate(paths):
                inverted[number] = Content(path, (yield from self._optimise_null_text(path)))
        return inverted

    def _optimise_null_text(self, path: Path) -> Generator[Evaluated, None, np.ndarray]:
        settings, text = self._settings, self._pipe.encode_texts("")
        chosen = NullTextSettings(settings.guidance, settings.steps, settings.null_text, settings.null_text_rate)
        steps = optimise_null_text(self._pipe, chosen, path, text, text)
        with closing(steps):
            while True:
                try:
                    event = next(steps)
                except StopIteration as end:
                    return end.value
                if isinstance(event, Evaluated):
                    yield event
