"""The pipeline that the tests of Style Aligned share, and a set made with it."""

from __future__ import annotations

import numpy as np
import pytest

from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from tests.parity.networks import GOLDEN
from tests.style_align.small import latents


@pytest.fixture(scope="package")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))


@pytest.fixture(scope="package")
def plain_set(pipe: StableDiffusionPipeline) -> dict[int, np.ndarray]:
    return latents(pipe)
