"""Contents and styles on which methods are compared: drawings that the embedded model never saw, and photographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from benchmarks.quality.adherence import prompt
from jstyle.training.draws import make_generator
from recipes.tiny.drawings import Scene, render, sample_scene

SEED = 4711
DRAWINGS = 6
PHOTOGRAPHS = 2
STYLES = ("hatching", "watercolour", "oil", "pointillism", "mosaic", "neon", "woodcut", "stained glass")


@dataclass(frozen=True)
class Pairs:
    """Contents, first ``scenes`` in poster paint, then photographs, and drawings as styles."""

    scenes: Sequence[Scene]
    style_scenes: Sequence[Scene]
    contents: Sequence[Image.Image]
    styles: Sequence[Image.Image]

    def describe_style(self, style: int) -> str:
        """The text of a style's picture."""
        return prompt(self.style_scenes[style])

    def describe(self, content: int, style: int) -> str:
        """The text of a content in a style's technique; of a photograph the technique alone."""
        technique = self.style_scenes[style].technique
        if content >= len(self.scenes):
            return technique
        return prompt(replace(self.scenes[content], technique=technique))


def draw_pairs(side: int, photographs: Mapping[str, np.ndarray]) -> Pairs:
    """The set at so many pixels a side; ``photographs``, of which the first two are taken, are of that side."""
    rng = make_generator(SEED, 0, "contents")
    scenes = [sample_scene(rng, technique="poster") for _ in range(DRAWINGS)]
    rng = make_generator(SEED, 0, "styles")
    style_scenes = [sample_scene(rng, technique=one) for one in STYLES]
    contents = [*(render(scene, side) for scene in scenes), *list(photographs.values())[:PHOTOGRAPHS]]
    styles = [render(scene, side) for scene in style_scenes]
    return Pairs(scenes, style_scenes, list(map(Image.fromarray, contents)), list(map(Image.fromarray, styles)))
