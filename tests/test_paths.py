"""The fused kernels and plain Jittor make the same pictures."""

from __future__ import annotations

import numpy as np
import pytest

from jstyle.ops.kernels import operator
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline

pytestmark = pytest.mark.skipif(operator.unavailable() is not None, reason="needs the fused kernels")


def test_text_to_image(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = StableDiffusionPipeline.from_pretrained("tiny")

    def picture() -> np.ndarray:
        out = pipe("a house by the sea", num_inference_steps=10, guidance_scale=5.0, seed=3, output_type="np")
        return np.float64(out.images)

    fused = picture()
    monkeypatch.setattr(operator, "unavailable", lambda: "switched off by a test")
    difference = fused - picture()
    assert np.abs(difference).max() > 0  # or one path had run twice
    assert -10 * np.log10((difference**2).mean()) > 60  # of images in [0, 1]
