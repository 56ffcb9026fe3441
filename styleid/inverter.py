"""Pictures inverted when they are needed, and their features kept as the settings say."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from typing import Optional

import numpy as np
from PIL import Image

from jstyle.diffusion.noise import NoiseSource
from jstyle.events import Evaluated
from jstyle.pictures import images
from jstyle.pipelines.cost import CountingPipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from styleid.bank import DiskWriter, MemoryBank, Role
from styleid.method import Inverted, StyleIDOnLatents
from styleid.order import Picture
from styleid.settings import StyleIDSettings
from styleid.store import FeatureStore


class Inverter:
    """Inverts pictures when they are first asked for, and keeps what that leaves until it is told to forget it.

    The pictures are of the size that they are inverted at, and ``settings.features`` is not "auto". With a ``store``
    what it holds is not inverted again, and features go there.
    """

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        settings: StyleIDSettings,
        latents: StyleIDOnLatents,
        pictures: Mapping[Picture, Image.Image],
        store: Optional[FeatureStore],
    ) -> None:
        self._pipe = pipe
        self._settings = settings
        self._latents = latents
        self._pictures = pictures
        self._store = store
        self._kept: dict[Picture, Inverted] = {}

    def fetch(self, role: Role, numbers: Sequence[int]) -> Generator[Evaluated, None, list[Inverted]]:
        """The pictures of these numbers, inverted; those that are not yet, together."""
        asked: list[Picture] = [(role, number) for number in numbers]
        arrays = {one: images.to_array([self._pictures[one]]) for one in asked if one not in self._kept}
        for one, array in arrays.items():
            found = self._store.find(array, role) if self._store else None
            if found is not None:
                self._kept[one] = found
        missing = [one for one in arrays if one not in self._kept]
        if missing:
            self._kept.update(zip(missing, (yield from self._invert_batch([arrays[one] for one in missing], role))))
        return [self._kept[one] for one in asked]

    def forget(self, pictures: Collection[Picture]) -> None:
        """Let go what these pictures have left in memory."""
        for picture in pictures:
            del self._kept[picture]

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
