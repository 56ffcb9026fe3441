"""StyleID on pictures: N contents in M styles for N + M inversions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Optional, Union

import numpy as np
from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Evaluated
from jstyle.methods.blocks import Picture, order_blocks
from jstyle.methods.constructing import require_parts
from jstyle.methods.kept import Kept
from jstyle.methods.pairs import Pair, Stylised, fill_size, list_pairs, stylise_one
from jstyle.methods.room import count_features
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from styleid.bank import count_arrays
from styleid.inverter import Inverter
from styleid.keeping import choose_keeping
from styleid.method import StyleIDOnLatents
from styleid.settings import StyleIDSettings
from styleid.store import FeatureStore


class StyleID:
    """Puts contents into the styles of pictures (arXiv 2312.09008).

    >>> import jstyle
    >>> from PIL import Image
    >>> pipe = jstyle.StableDiffusionPipeline.from_pretrained("tiny")
    >>> content = Image.open("samples/content/house_by_the_sea.png")
    >>> style = Image.open("samples/style/woodcut.png")
    >>> jstyle.StyleID(pipe, jstyle.StyleIDSettings(steps=10))(content, style).size
    (256, 256)

    ``store`` is the folder of disk features. Raises InputError for a size the model cannot take, layers it does not
    have, and disk features without a store.
    """

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        settings: StyleIDSettings = StyleIDSettings(),  # noqa: B008  (frozen)
        *,
        store: Optional[Path] = None,
    ) -> None:
        require_parts("StyleID", pipe, StableDiffusionPipeline, settings, StyleIDSettings)
        self._settings = fill_size(settings, pipe)
        self._frame = pipe.make_frame(self._settings.width, self._settings.height, self._settings.fit)
        self._pipe = pipe
        self._latents = StyleIDOnLatents(pipe.unet, pipe.condition_texts(""), pipe.schedule, self._settings)
        if settings.features == "disk" and settings.injection and store is None:
            raise InputError("features that are kept on disk need a folder, the store; or keep them in memory")
        self._folder = store

    def __call__(self, content: Image.Image, style: Image.Image) -> Image.Image:
        """The content in the style, of the size that it comes to. Raises InputError where it is not finite."""
        return stylise_one(self, content, style)

    def settle(self, pairs: Collection[Pair]) -> tuple[StyleIDSettings, str]:
        """The settings with the keeping of features decided by the room that there is, and a line that says how.

        The line is empty where nothing was left to decide.
        """
        if self._settings.features != "auto":
            return self._settings, ""
        if not self._settings.injection or not pairs:
            return replace(self._settings, features="memory"), ""
        shape = self._pipe.latent_shape(self._settings.height, self._settings.width)  # or one of about that area
        numbers = count_features(self._pipe.unet, self._latents.paths, shape) * self._settings.steps
        blocks = order_blocks(pairs, self._settings.batch_size, weigh=count_arrays)
        keeping, line = choose_keeping(blocks, numbers * np.dtype(self._settings.feature_dtype).itemsize, self._folder)
        return replace(self._settings, features=keeping), line

    def stylise_pairs(
        self,
        contents: Sequence[Image.Image],
        styles: Sequence[Image.Image],
        pairs: Optional[Collection[Pair]] = None,
    ) -> Iterator[Union[Evaluated, Stylised]]:
        """Every pair, all of them by default, as it is done, with `Evaluated` after each step.

        A picture is inverted when a pair first needs it; what that leaves stays until its last pair is done.
        """
        pairs = list_pairs(len(contents), len(styles)) if pairs is None else pairs
        settings, _ = self.settle(pairs)
        fitted: dict[Picture, Image.Image] = {}
        for content, style in pairs:
            fitted["content", content] = self._frame.fit(contents[content])
            fitted["style", style] = self._frame.fit(styles[style])
        inverter = Inverter(self._pipe, settings, self._latents, fitted, self._open_store(settings))
        inversions = Kept(inverter.invert)
        blocks = order_blocks(pairs, settings.batch_size, lambda content: fitted["content", content].size, count_arrays)
        for block in blocks:
            (reference,) = yield from inversions.fetch([("style", block.style)])
            batch = yield from inversions.fetch([("content", content) for content in block.contents])
            x = yield from self._latents.stylise(batch, reference)
            del batch, reference
            inversions.forget(block.last)
            for row, content in enumerate(block.contents):
                yield Stylised.from_array(content, block.style, self._pipe.decode_latents(x[row : row + 1]))

    def _open_store(self, settings: StyleIDSettings) -> Optional[FeatureStore]:
        if settings.features != "disk" or not settings.injection:
            return None
        assert self._folder is not None
        return FeatureStore(self._folder, self._pipe, settings, self._latents.paths)


def settle(
    pipe: StableDiffusionPipeline, settings: StyleIDSettings, pairs: Collection[Pair], *, store: Optional[Path] = None
) -> tuple[StyleIDSettings, str]:
    """What `StyleID.settle` decides, as the run of the command asks for it."""
    return StyleID(pipe, settings, store=store).settle(pairs)
