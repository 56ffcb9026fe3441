"""StyleID on pictures: N contents in M styles for N + M inversions."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from pathlib import Path
from typing import Optional, Union

import numpy as np
from PIL import Image

from jstyle.diffusion.noise import NoiseSource
from jstyle.errors import InputError
from jstyle.events import Evaluated
from jstyle.methods.pairs import Pair, Stylised, list_pairs, split_batches, stylise_one
from jstyle.pictures import images
from jstyle.pipelines.cost import CountingPipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from styleid.bank import DiskWriter, MemoryBank, Role
from styleid.method import Inverted, StyleIDOnLatents
from styleid.settings import StyleIDSettings
from styleid.store import FeatureStore


class StyleID:
    """Puts contents into the styles of pictures (arXiv 2312.09008).

    >>> import jstyle
    >>> from PIL import Image
    >>> pipe = jstyle.StableDiffusionPipeline.from_pretrained("tiny")
    >>> content = Image.open("samples/content/house_by_the_sea.png")
    >>> style = Image.open("samples/style/woodcut.png")
    >>> jstyle.StyleID(pipe)(content, style).size
    (128, 128)

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
        self._frame = pipe.make_frame(settings.width, settings.height, settings.fit)
        self._pipe = pipe
        self._settings = settings
        self._latents = StyleIDOnLatents(pipe.unet, pipe.encode_prompt(""), pipe.schedule, settings)
        self._store: Optional[FeatureStore] = None
        if settings.features == "disk" and settings.injection:
            if store is None:
                raise InputError("features that are kept on disk need a folder, the store; or keep them in memory")
            self._store = FeatureStore(store, pipe, settings, self._latents.paths)

    def __call__(self, content: Image.Image, style: Image.Image) -> Image.Image:
        """The content in the style, of the size that it comes to. Raises InputError where it is not finite."""
        return stylise_one(self, content, style)

    def stylise_pairs(
        self,
        contents: Sequence[Image.Image],
        styles: Sequence[Image.Image],
        pairs: Optional[Collection[Pair]] = None,
    ) -> Iterator[Union[Evaluated, Stylised]]:
        """Every pair, all of them by default, as it is done, style by style, with `Evaluated` after each step.

        The contents' features stay for the whole run, a style's only until its pairs are done.
        """
        ordered = sorted(
            list_pairs(len(contents), len(styles)) if pairs is None else pairs, key=lambda pair: pair[::-1]
        )
        used = sorted({content for content, _ in ordered})
        inverted = dict(zip(used, (yield from self._invert([contents[i] for i in used], "content"))))
        for style in dict.fromkeys(style for _, style in ordered):
            reference = (yield from self._invert([styles[style]], "style"))[0]
            of_style = [content for content, other in ordered if other == style]
            for batch in split_batches(of_style, self._settings.batch_size, lambda i: inverted[i].latent.shape):
                x = yield from self._latents.stylise([inverted[i] for i in batch], reference)
                for row, content in enumerate(batch):
                    yield Stylised.from_array(content, style, self._pipe.decode_latents(x[row : row + 1]))

    def _invert(self, pictures: Sequence[Image.Image], role: Role) -> Generator[Evaluated, None, list[Inverted]]:
        """Invert the pictures, equal ones once."""
        arrays = [images.to_array([self._frame.fit(picture)]) for picture in pictures]
        firsts: dict[bytes, int] = {}
        equals = [firsts.setdefault(array.tobytes(), i) for i, array in enumerate(arrays)]
        inverted = {i: self._store.find(arrays[i], role) if self._store else None for i in firsts.values()}
        missing = [i for i, end in inverted.items() if end is None]
        for batch in split_batches(missing, self._settings.batch_size, lambda i: arrays[i].shape):
            fresh = yield from self._invert_batch([arrays[i] for i in batch], role)
            inverted.update(zip(batch, fresh))
        return [end for end in (inverted[i] for i in equals) if end is not None]

    def _invert_batch(self, arrays: Sequence[np.ndarray], role: Role) -> Generator[Evaluated, None, list[Inverted]]:
        latents = self._encode(np.concatenate(arrays))
        if not self._settings.injection:
            return [Inverted(end.latent) for end in (yield from self._latents.trace(latents, role))]
        if self._settings.features == "recompute":
            return (yield from self._latents.trace(latents, role))
        if self._store is not None and not isinstance(self._pipe, CountingPipeline):  # its features are none
            return (yield from self._invert_to_disk(self._store, arrays, latents, role))
        banks = [MemoryBank() for _ in arrays]
        ends = yield from self._latents.invert(latents, role, banks)
        return [Inverted(end, bank) for end, bank in zip(ends, banks)]

    def _invert_to_disk(
        self, store: FeatureStore, arrays: Sequence[np.ndarray], latents: jt.Var, role: Role
    ) -> Generator[Evaluated, None, list[Inverted]]:
        writers: list[DiskWriter] = []
        try:
            writers += (store.open_writer(array, role) for array in arrays)
            ends = yield from self._latents.invert(latents, role, writers)
            return [Inverted(end, writer.finish(end)) for end, writer in zip(ends, writers)]
        finally:
            for writer in writers:
                writer.discard()

    def _encode(self, pictures: np.ndarray) -> jt.Var:
        """(batch, 3, height, width) in [-1, 1] to latents."""
        noise = None
        if self._settings.vae == "sample":
            shape = self._pipe.latent_shape(*pictures.shape[2:])
            noise = NoiseSource([self._settings.seed] * len(pictures)).normal("posterior", shape)
        return self._pipe.encode_images(jt.array(pictures), noise)
