"""How alike pictures are in style: to the model's CLIP, and in their colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from jstyle.methods.inst.training import encode_by_clip
from jstyle.metrics import hist
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline


def features(pipe: StableDiffusionPipeline, pictures: Sequence[Image.Image], batch: int = 32) -> np.ndarray:
    """CLIP's image embeddings, (pictures, projection_dim) of length 1, by the model's own image encoder."""
    encoder = pipe.parts.image_encoder
    assert encoder is not None, "this model has no image encoder"
    several = [list(pictures[i : i + batch]) for i in range(0, len(pictures), batch)]
    found = np.concatenate([encode_by_clip(encoder, one).numpy()[:, 0] for one in several])
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def colours(pictures: Sequence[Image.Image]) -> list[hist.Histograms]:
    """The competition's histograms, as its program means them."""
    return [hist.histograms(np.asarray(one), corrected=True) for one in pictures]


def to_references(
    pipe: StableDiffusionPipeline, pictures: Sequence[Image.Image], references: Sequence[Image.Image]
) -> dict[str, float]:
    """Means over the pictures: cosine to the references' mean embedding, and Hist against their mean histograms."""
    centre = features(pipe, references).mean(axis=0)
    wanted = hist.mean(colours(references))
    return {
        "CLIP": float((features(pipe, pictures) @ (centre / np.linalg.norm(centre))).mean()),
        "Hist": float(np.mean([hist.similarity(one, wanted) for one in colours(pictures)])),
    }


def among(pipe: StableDiffusionPipeline, pictures: Sequence[Image.Image]) -> dict[str, float]:
    """Means over all pairs of pictures."""
    embedded, coloured = features(pipe, pictures), colours(pictures)
    pairs = [(i, j) for i in range(len(pictures)) for j in range(i)]
    return {
        "CLIP": float(np.mean([embedded[i] @ embedded[j] for i, j in pairs])),
        "Hist": float(np.mean([hist.similarity(coloured[i], coloured[j]) for i, j in pairs])),
    }
