"""The providers of a pipeline's networks on one small checkpoint, and what the tests ask of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Union

import numpy as np
import pytest

import jstyle
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.weights.backends import library
from tests import golden
from tests.weights.backends import diffusers_style

FOLDER = Path(golden.__file__).parent / "diffusers_folder"
NO_JDIFFUSION = library.find_obstacle()
HOSTED = [
    "diffusers_style",
    pytest.param("jdiffusion", marks=pytest.mark.skipif(NO_JDIFFUSION is not None, reason=f"{NO_JDIFFUSION}")),
]
PROVIDERS = ["native", *HOSTED]


@lru_cache(maxsize=None)
def provided(name: str) -> Any:
    """The pipeline, the same one in all tests: each leaves it as it was."""
    if name == "diffusers_style":
        return jstyle.wrap(diffusers_style.pipeline(FOLDER))
    return StableDiffusionPipeline.from_pretrained(str(FOLDER), backend=name)


def unet_call(pipe: Any, step: int = 0, times: Union[float, Sequence[float]] = 501) -> np.ndarray:
    """One call of the UNet on fixed numbers, (2, 4, 8, 8)."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((2, pipe.unet.config.in_channels, 8, 8), np.float32)
    text = rng.standard_normal((2, 77, pipe.unet.config.cross_attention_dim), np.float32)
    with jt.no_grad():
        return np.array(pipe.unet(jt.array(x), times, jt.array(text), step=step).sample.numpy())


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """||one - other|| / ||other||; NaN counts as infinite."""
    found = float(np.linalg.norm(np.float64(one) - other) / np.linalg.norm(np.float64(other)))
    return found if np.isfinite(found) else float("inf")
