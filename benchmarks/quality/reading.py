"""Objects read by the embedded model's own CLIP: no training but a least-squares fit, so a study can ask it at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from benchmarks.quality import likeness
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.training.draws import make_generator
from recipes.tiny.drawings import OBJECTS, render, sample_scene

SEED = 78  # its drawings are not those that the model learnt from
DRAWINGS = 3000
RIDGE = 3.0  # of the weights' squares, features having length 1


class ObjectReader:
    """Ridge regression from CLIP's embedding of a drawing to which object it shows."""

    def __init__(self, pipe: StableDiffusionPipeline, drawings: int = DRAWINGS) -> None:
        rng = make_generator(SEED, 0, "scenes")
        scenes = [sample_scene(rng) for _ in range(drawings)]
        pictures = [Image.fromarray(render(scene, pipe.size)) for scene in scenes]
        known = np.array([OBJECTS.index(scene.object) for scene in scenes])
        x = self._embed(pipe, pictures)
        wanted = np.eye(len(OBJECTS))[known]
        self._pipe = pipe
        self._weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ wanted)

    def read(self, pictures: Sequence[Image.Image]) -> list[str]:
        """The object that each picture shows, as far as it can be read."""
        found = (self._embed(self._pipe, pictures) @ self._weights).argmax(axis=1)
        return [OBJECTS[i] for i in found]

    def _embed(self, pipe: StableDiffusionPipeline, pictures: Sequence[Image.Image]) -> np.ndarray:
        found = np.float64(likeness.features(pipe, pictures))
        return np.concatenate([found, np.ones((len(found), 1))], axis=1)
