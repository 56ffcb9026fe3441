"""Sets of four on the goldens' tiny Stable Diffusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Optional

import numpy as np
from PIL import Image

from jstyle.events import Evaluated, exhaust
from jstyle.methods.sets import TextReference
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.reader import build
from style_align.reference import Trajectory
from style_align.run import AlignedSet, AnyReference, Target
from style_align.settings import StyleAlignSettings

TRAIN = TextReference("a toy train", 0)
TARGETS = [Target(f"a toy {thing}", seed) for seed, thing in enumerate(["car", "boat", "cat", "owl"], 1)]
EIGHT = [*TARGETS, *(replace(target, seed=target.seed + 10) for target in TARGETS)]
CHUNK_TOLERANCE = 1e-4  # of final latents: sums in another order


def settings(**changes: Any) -> StyleAlignSettings:
    return build(StyleAlignSettings, {"steps": 4, "batch_size": 2, "feature_dtype": "float32", **changes})


def picture(seed: int, width: int = 48, height: int = 48) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(pixels).resize((width, height))


def pictures_of(aligned: AlignedSet, targets: Sequence[Target]) -> list[tuple[int, Optional[Image.Image]]]:
    return [event for event in aligned.make_pictures(targets) if not isinstance(event, Evaluated)]


def trajectory(pipe: StableDiffusionPipeline, reference: AnyReference, **changes: Any) -> Trajectory:
    return exhaust(AlignedSet(pipe, settings(**changes), [reference]).on_latents.make_trajectory())


def latents(
    pipe: StableDiffusionPipeline,
    targets: Sequence[Target] = TARGETS,
    references: Sequence[AnyReference] = (TRAIN,),
    weights: Any = None,
    **changes: Any,
) -> dict[int, np.ndarray]:
    """The final latents by target; -1 is the first reference's."""
    aligned = AlignedSet(pipe, settings(**changes), references, weights)
    decoded: list[np.ndarray] = []
    decode = pipe.decode_latents

    def note(x: jt.Var) -> np.ndarray:
        decoded.append(np.array(x.numpy())[0])
        return decode(x)

    pipe.decode_latents = note  # type: ignore[method-assign]
    try:
        numbers = [number for number, _ in pictures_of(aligned, targets)]
        exhaust(aligned.make_references())
    finally:
        del pipe.decode_latents
    return {**dict(zip(numbers, decoded)), -1: decoded[len(numbers)]}
