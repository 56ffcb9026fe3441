"""Pictures inverted when they are needed, and their features kept as the settings say."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Optional

import numpy as np
from PIL import Image

from jstyle.diffusion.noise import NoiseSource
from jstyle.events import Evaluated
from jstyle.methods.blocks import Picture, Role
from jstyle.pictures import images
from jstyle.pipelines.cost import CountingPipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from styleid.bank import DiskWriter, MemoryBank
from styleid.method import Inverted, StyleIDOnLatents
from styleid.settings import StyleIDSettings
from styleid.store import FeatureStore


class Inverter:
    """Inverts pictures of the size that they are inverted at. ``settings.features`` is not "auto".

    With a ``store`` what it holds is not inverted again, and features go there.
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

    def invert(self, pictures: Sequence[Picture]) -> Generator[Evaluated, None, list[Inverted]]:
        """These pictures, which are all contents or all styles; those that the store does not hold together."""
        role = pictures[0][0]
        arrays = {picture: images.to_array([self._pictures[picture]]) for picture in pictures}
        found = {picture: self._store.find(array, role) if self._store else None for picture, array in arrays.items()}
        missing = [picture for picture in pictures if found[picture] is None]
        if missing:
            found.update(zip(missing, (yield from self._invert_batch([arrays[one] for one in missing], role))))
        return [inverted for inverted in found.values() if inverted is not None]

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
