"""Z* on pictures: N contents in M styles of one shape for N + M inversions."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from typing import Optional, Union

from PIL import Image

from jstyle.events import Evaluated
from jstyle.methods.blocks import Role, order_blocks
from jstyle.methods.kept import Kept
from jstyle.methods.pairs import Pair, Stylised, fill_size, list_pairs, stylise_one
from jstyle.methods.z_star.method import Path, ZStarOnLatents
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

    Raises InputError for a size the model cannot take and layers it does not have.
    """

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        settings: ZStarSettings = ZStarSettings(),  # noqa: B008  (frozen)
    ) -> None:
        self._settings = fill_size(settings, pipe)
        self._frame = pipe.make_frame(self._settings.width, self._settings.height, self._settings.fit)
        self._pipe = pipe
        self._latents = ZStarOnLatents(pipe.denoiser(""), pipe.schedule, self._settings)

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
        inversions: Kept[Cut, Path] = Kept(lambda cuts: self._invert(cuts, contents, styles))
        for block in order_blocks(pairs, self._settings.batch_size, lambda content: sizes[content]):
            size = sizes[block.contents[0]]
            (style,) = yield from inversions.fetch([("style", block.style, size)])
            paths = yield from inversions.fetch([("content", content, size) for content in block.contents])
            x = yield from self._latents.stylise(paths, style)
            inversions.forget([(*picture, size) for picture in block.last for size in set(sizes.values())])
            for row, content in enumerate(block.contents):
                yield Stylised.from_array(content, block.style, self._pipe.decode_latents(x[row : row + 1]))

    def _invert(
        self, cuts: Sequence[Cut], contents: Sequence[Image.Image], styles: Sequence[Image.Image]
    ) -> Generator[Evaluated, None, list[Path]]:
        """The paths of pictures of one role and size."""
        role, _, size = cuts[0]
        is_cut = role == "style" and self._settings.fit == "keep"
        pictures = [(styles if role == "style" else contents)[number] for _, number, _ in cuts]
        fitted = [images.fit(picture, *size) if is_cut else self._frame.fit(picture) for picture in pictures]
        latents = self._pipe.encode_images(jt.array(images.to_array(fitted)))
        return (yield from self._latents.invert(latents, f"{role} inversion"))
