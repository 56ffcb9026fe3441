"""Panoramas: windows that cover everything, at any size."""

from __future__ import annotations

import numpy as np
import pytest

from jstyle.errors import InputError
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from style_align.panorama import Window, windows
from tests.parity.networks import relative_error
from tests.style_align.small import CHUNK_TOLERANCE, TARGETS, latents


@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 40), (12, 33), (21, 16), (5, 7)])
def test_windows_cover_everything(height: int, width: int, circular: bool) -> None:
    counts = np.zeros((height, width))
    for window in windows(height, width, 16, 5, circular=circular):
        assert (len(window.rows), len(window.columns)) == (min(height, 16), min(width, 16))
        counts[window.rows[:, None], window.columns] += 1
    assert counts.min() >= 1
    if circular and width == 40:
        assert np.ptp(counts[0]) <= 1  # no edge is seen less than the middle


def test_a_stride_that_leaves_gaps() -> None:
    with pytest.raises(InputError, match="leaves gaps"):
        windows(16, 64, 16, 17)
    assert isinstance(windows(16, 64, 16, 16)[0], Window)


def test_a_panorama_of_any_size_and_batch(pipe: StableDiffusionPipeline) -> None:
    wide = {"panorama": True, "width": 84, "height": 64, "stride": 4}
    one = latents(pipe, TARGETS[:2], batch_size=1, **wide)
    assert one[0].shape == (4, 16, 21)
    assert one[-1].shape == (4, 16, 16)
    other = latents(pipe, TARGETS[:2], batch_size=3, features="memory", **wide)
    assert all(relative_error(other[i], one[i]) < CHUNK_TOLERANCE for i in (0, 1))
    assert np.array_equal(other[-1], one[-1])
    plain = latents(pipe, TARGETS[:1], style_strength=0.0, **wide)
    assert relative_error(plain[0], one[0]) > 1e-2
    around = latents(pipe, TARGETS[:1], circular=True, **wide)
    assert around[0].shape == (4, 16, 21 + 2 * 4)  # what is decoded has some of the other edge beside each edge
    assert np.array_equal(around[0][..., :4], around[0][..., 21:25])
    assert relative_error(around[0][..., 4:-4], one[0]) > 1e-2
    low = latents(pipe, TARGETS[:1], panorama=True, width=96, height=32)
    assert (low[0].shape, low[-1].shape) == ((4, 8, 24), (4, 8, 16))


def test_one_window_is_plain_generation(pipe: StableDiffusionPipeline) -> None:
    small = latents(pipe, TARGETS[:1], panorama=True, width=64, height=64, style_strength=0.0)
    plain = pipe(TARGETS[0].prompt, num_inference_steps=4, seed=1, output_type="latent").images
    assert relative_error(small[0], plain[0]) < 1e-5


def test_a_circular_panorama_turns_with_its_noise(pipe: StableDiffusionPipeline) -> None:
    """Turning a circular panorama's noise by the stride turns the picture, so no place is the seam."""
    from style_align.panorama import Panorama, decode

    places = windows(16, 32, 16, 8, circular=True)
    fused = Panorama(lambda count: pipe.denoiser(["a sea"] * count, "", 5.0), places, 4)
    x = np.random.default_rng(1).standard_normal((1, 4, 16, 32)).astype(np.float32)
    level = pipe.schedule.levels(4)[1]
    straight, turned = (fused(jt.array(np.roll(x, by, axis=3)), level, 0).x0.numpy() for by in (0, 8))
    assert relative_error(np.roll(straight, 8, axis=3), turned) < 1e-5
    errors = []
    for circular in (True, False):
        pictures = [decode(pipe, jt.array(np.roll(x, by, axis=3)), 64, circular=circular) for by in (0, 8)]
        assert pictures[0].shape == (1, 3, 64, 128)
        errors.append(relative_error(np.roll(pictures[0], 32, axis=3), pictures[1]))
    assert errors[0] < 0.3 * errors[1]  # the autoencoder's norms see the whole picture, so not nothing
