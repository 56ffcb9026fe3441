"""The pictures for training, drawings and icons, kept on disk as one array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Union

import numpy as np

from jstyle.training.draws import make_generator
from recipes.tiny import drawings, icons, sceneries
from recipes.tiny.growing import check_identity, fill_array
from recipes.tiny.settings import PictureSettings
from recipes.tiny.workers import open_pool

FILE = "pictures.npy"
CUTOUTS = "icons"

Scene = Union[drawings.Scene, icons.IconScene, sceneries.Scenery]
"""What one picture shows."""


@lru_cache(maxsize=2)
def scenes(settings: PictureSettings, folder: Path) -> tuple[Scene, ...]:
    """The scenes that are drawn, in the order of the pictures; ``folder`` holds the icons, where there are any.

    Raises InputError where they are not cut out yet, and where the folder's pictures show other scenes.
    """
    check_identity(folder / FILE, asdict(settings))
    rng = make_generator(settings.seed, 0, "scenes")
    return tuple(_sample(settings, folder, rng) for _ in range(settings.count))


def _sample(settings: PictureSettings, folder: Path, rng: np.random.Generator) -> Scene:
    if settings.icons or settings.sceneries:
        kind = rng.random()
        if kind < settings.icons:
            return icons.sample_icon(rng, icons.read_catalogue(folder / CUTOUTS))
        if kind < settings.icons + settings.sceneries:
            return sceneries.sample_scenery(rng)
    return drawings.sample_scene(rng)


def write_captions(scenes: Sequence[Scene], seed: int, index: int) -> list[str]:
    """A caption for each scene, in other words for each index."""
    rng = make_generator(seed, index, "captions")
    return [write_caption(scene, rng) for scene in scenes]


def write_caption(scene: Scene, rng: np.random.Generator) -> str:
    """One caption."""
    if isinstance(scene, icons.IconScene):
        return icons.caption(scene, rng)
    return sceneries.caption(scene, rng) if isinstance(scene, sceneries.Scenery) else drawings.caption(scene, rng)


def render(scene: Scene, folder: Path, size: int) -> np.ndarray:
    """One picture, (size, size, 3) uint8; ``folder`` as `scenes` takes it."""
    if isinstance(scene, icons.IconScene):
        return icons.render(scene, folder / CUTOUTS, size)
    if isinstance(scene, sceneries.Scenery):
        return sceneries.render(scene, size)
    return drawings.render(scene, size)


def draw_pictures(settings: PictureSettings, folder: Path, workers: int) -> None:
    """Write ``pictures.npy``, (count, size, size, 3) uint8, unless it is there. It appears only when it is whole.

    Icons are cut out first, from packages that are fetched to ``packages`` in the folder. Raises InputError where
    they cannot be had.
    """
    if (folder / FILE).exists():
        return
    if settings.icons:
        icons.cut_out(folder / "packages", folder / CUTOUTS, workers)
    shown, size = scenes(settings, folder), settings.size

    def draw(start: int) -> Iterator[np.ndarray]:
        with open_pool(workers) as pool:
            for picture in pool.map(_draw_one, [(scene, folder, size) for scene in shown[start:]], chunksize=64):
                yield picture[None]

    fill_array(folder / FILE, (settings.count, size, size, 3), np.uint8, asdict(settings), draw)


def as_input(pictures: np.ndarray) -> np.ndarray:
    """(n, size, size, 3) uint8 -> (n, 3, size, size) float32 in [-1, 1], as the VAE takes them."""
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32) / np.float32(127.5) - 1


def _draw_one(job: tuple[Scene, Path, int]) -> np.ndarray:
    return render(*job)
