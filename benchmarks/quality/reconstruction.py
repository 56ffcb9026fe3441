"""How much of a picture is left after the autoencoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality import judge
from jstyle.networks import AutoencoderKL
from jstyle.pictures import images
from recipes.tiny.autoencoder import reconstruct
from recipes.tiny.drawings import TECHNIQUES, Scene


def psnr(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """dB of each of (n, h, w, 3) uint8 pictures."""
    return 10 * np.log10(255**2 / ((np.float64(found) - wanted) ** 2).mean(axis=(1, 2, 3)))


def photographs(folder: Path, size: int) -> Mapping[str, np.ndarray]:
    """The folder's pictures, cut to squares of this size, by name."""
    return {
        path.stem: np.asarray(images.fit(images.open_image(path), size, size)) for path in images.find_images([folder])
    }


def measure(
    vae: AutoencoderKL, drawings: np.ndarray, scenes: Sequence[Scene], photos: Mapping[str, np.ndarray], reader: Any
) -> dict[str, Any]:
    """PSNR of drawings by technique, and of photographs; what the judge reads before and after, in per cent."""
    after = reconstruct(vae, drawings)
    each = psnr(after, drawings)
    by = {one: float(each[[scene.technique == one for scene in scenes]].mean()) for one in TECHNIQUES}
    found: dict[str, Any] = {"drawings": float(each.mean()), "worst technique": min(by.values()), "techniques": by}
    if photos:
        several = np.stack(list(photos.values()))
        found["photographs"] = dict(zip(photos, psnr(reconstruct(vae, several), several).tolist()))
    for name, pictures in (("read in drawings", drawings), ("read after the autoencoder", after)):
        right = judge.hits(reader, pictures, scenes)
        found[name] = {kind: 100 * float(np.nanmean(values)) for kind, values in right.items()}
    return found
