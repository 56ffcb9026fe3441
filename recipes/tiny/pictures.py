"""The drawings for training, kept on disk as one array."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from jstyle.training.draws import make_generator
from recipes.tiny.drawings import Scene, caption, render, sample_scene
from recipes.tiny.settings import PictureSettings

FILE = "pictures.npy"


@lru_cache(maxsize=2)
def scenes(settings: PictureSettings) -> tuple[Scene, ...]:
    """The scenes that are drawn, in the order of the pictures."""
    rng = make_generator(settings.seed, 0, "scenes")
    return tuple(sample_scene(rng) for _ in range(settings.count))


def write_captions(scenes: Sequence[Scene], seed: int, index: int) -> list[str]:
    """A caption for each scene, in other words for each index."""
    rng = make_generator(seed, index, "captions")
    return [caption(scene, rng) for scene in scenes]


def draw_pictures(settings: PictureSettings, folder: Path, workers: int) -> None:
    """Write ``pictures.npy``, (count, size, size, 3) uint8, unless it is there. It appears only when it is whole."""
    if (folder / FILE).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    part, size = folder / f".{FILE}.part", settings.size
    array = np.lib.format.open_memmap(part, "w+", np.uint8, (settings.count, size, size, 3))
    jobs = [(scene, size) for scene in scenes(settings)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        pictures = pool.map(_draw_one, jobs, chunksize=64)
        for i, picture in enumerate(tqdm(pictures, "pictures", len(jobs), unit="picture", mininterval=1)):
            array[i] = picture
    array.flush()
    os.replace(part, folder / FILE)


def as_input(pictures: np.ndarray) -> np.ndarray:
    """(n, size, size, 3) uint8 -> (n, 3, size, size) float32 in [-1, 1], as the VAE takes them."""
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32) / np.float32(127.5) - 1


def _draw_one(job: tuple[Scene, int]) -> np.ndarray:
    return render(*job)
