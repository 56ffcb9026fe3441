"""Whether pictures show what their captions say, and whether they are more than copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.quality import judge
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from recipes.tiny.drawings import PLACES, TECHNIQUES, Scene

CUT_UP = ("pointillism", "mosaic", "pixel art", "stained glass")
"""Techniques that cut an object into cells; in the others its outline is clean."""
_SMALL = 16  # pixels a side at which pictures are compared as a whole


def prompt(scene: Scene) -> str:
    """Everything that a scene shows in words, none left out."""
    article = "an" if scene.colour[0] in "aeiou" else "a"
    return f"{article} {scene.colour} {scene.object} {PLACES[scene.setting]}, {scene.technique}"


def generate(
    pipe: StableDiffusionPipeline, prompts: Sequence[str], guidance: float, steps: int, batch: int = 8
) -> np.ndarray:
    """Picture i has seed i: (n, size, size, 3) uint8."""
    made: list[np.ndarray] = []
    for start in tqdm(range(0, len(prompts), batch), "pictures", mininterval=5):
        several = list(prompts[start : start + batch])
        seeds = list(range(start, start + len(several)))
        pictures = pipe(several, num_inference_steps=steps, guidance_scale=guidance, seed=seeds).images
        made += [np.asarray(picture) for picture in pictures]
    return np.stack(made)


def measure(reader: Any, pictures: np.ndarray, scenes: Sequence[Scene], unseen: Sequence[bool]) -> dict[str, Any]:
    """What the judge reads in generated pictures, in per cent; overall, in parts, and of pairs never trained on."""
    right = judge.hits(reader, pictures, scenes)
    clean = np.array([scene.technique not in CUT_UP for scene in scenes])
    held_out = np.array(unseen)
    found: dict[str, Any] = {kind: _share(values) for kind, values in right.items()}
    found["object in clean techniques"] = _share(right["object"][clean])
    for kind in ("technique", "object"):
        by = {one: _share(right[kind][[scene.technique == one for scene in scenes]]) for one in TECHNIQUES}
        found[f"{kind} by technique"] = by
    for name, part in (("seen pairs", ~held_out), ("held-out pairs", held_out)):
        found[name] = {kind: _share(right[kind][part]) for kind in ("object", "technique")}
    return found


def variety(several: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    """Mean distances between pictures of one prompt, (prompts, seeds, h, w, 3) uint8, and between such drawings."""
    return {"generated": _spread(several), "drawn": _spread(drawn)}


def copies(made: np.ndarray, held_out: np.ndarray, training: np.ndarray) -> dict[str, float]:
    """How near the nearest training picture is: to generated pictures and to drawings that were never trained on."""
    known = small(training)
    found = {}
    for name, pictures in (("generated", made), ("held-out drawings", held_out)):
        nearest = np.sqrt(np.maximum(_squares(small(pictures), known).min(axis=1), 0))
        found[f"{name}: 1 in 20 nearer than"] = float(np.quantile(nearest, 0.05))
        found[f"{name}: median"] = float(np.median(nearest))
    return found


def small(pictures: np.ndarray) -> np.ndarray:
    """(n, h, w, 3) uint8 -> (n, 16 * 16 * 3) float32 means of blocks, from 0 to 1."""
    n, h, w, _ = pictures.shape
    found = np.empty((n, _SMALL * _SMALL * 3), np.float32)
    for i in range(0, n, 1024):
        part = np.asarray(pictures[i : i + 1024], np.float32).reshape(-1, _SMALL, h // _SMALL, _SMALL, w // _SMALL, 3)
        found[i : i + 1024] = part.mean(axis=(2, 4)).reshape(len(part), -1) / 255
    return found


def _spread(groups: np.ndarray) -> float:
    distances = []
    for group in groups:
        squares = np.maximum(_squares(small(group), small(group)), 0)
        distances.append(np.sqrt(squares[np.triu_indices(len(group), 1)]).mean())
    return float(np.mean(distances))


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean squared differences between all pairs of rows, (a, b)."""
    return ((a * a).sum(axis=1)[:, None] - 2 * a @ b.T + (b * b).sum(axis=1)) / a.shape[1]


def _share(values: np.ndarray) -> float:
    return 100 * float(np.nanmean(values))
