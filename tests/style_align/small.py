"""Sets of four on the goldens' tiny Stable Diffusion."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, List, Sequence

import numpy as np
from PIL import Image

from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from style_align.request import AnyReference, Target, TextReference
from style_align.settings import StyleAlignSettings
from style_align.transfer import StyleAlign

TRAIN = TextReference("a toy train", 0)
TARGETS = [Target(f"a toy {thing}", seed) for seed, thing in enumerate(["car", "boat", "cat", "owl"], 1)]
EIGHT = [*TARGETS, *(replace(one, seed=one.seed + 10) for one in TARGETS)]
CHUNK_TOLERANCE = 1e-4  # of final latents: sums in another order


def settings(**changes: Any) -> StyleAlignSettings:
    return StyleAlignSettings(**{"steps": 4, "batch_size": 2, "feature_dtype": "float32", **changes})


def picture(seed: int, width: int = 48, height: int = 48) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(pixels).resize((width, height))


def latents(
    pipe: StableDiffusionPipeline,
    targets: Sequence[Target] = TARGETS,
    references: Sequence[AnyReference] = (TRAIN,),
    weights: Any = None,
    **changes: Any,
) -> Dict[int, np.ndarray]:
    """The final latents by target; -1 is the first reference's."""
    method = StyleAlign(pipe, settings(**changes), references, weights)
    found: List[np.ndarray] = []
    decode = pipe.decode_latents

    def noting(x: jt.Var) -> np.ndarray:
        found.append(np.array(x.numpy())[0])
        return decode(x)

    pipe.decode_latents = noting  # type: ignore[method-assign]
    try:
        done = list(method.run(targets))
        method.reference_images()
    finally:
        del pipe.decode_latents
    return {**{one.target: latent for one, latent in zip(done, found)}, -1: found[len(done)]}
