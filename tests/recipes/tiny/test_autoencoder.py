"""The autoencoder's loss, and that normalising its latents changes no picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from jstyle.networks import AutoencoderKL
from jstyle.networks.initial import initialise
from jstyle.networks.vae import DiagonalGaussian
from jstyle.runtime import jt
from recipes.tiny.autoencoder import (
    encode,
    kl_divergence,
    measure_latents,
    normalise,
    reconstruct,
    reconstruction_loss,
    take_examples,
)
from recipes.tiny.pictures import as_input
from recipes.tiny.start import start_linear
from tests.recipes.tiny.small import settings


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 32, 32, 3), np.uint8)


def test_normalising_changes_the_latent_and_no_picture(tmp_path) -> None:
    vae = AutoencoderKL(settings(tmp_path).vae.network)
    initialise(vae, 3)
    before = reconstruct(vae, pictures(6))
    posterior = vae.encode(jt.array(np.zeros((1, 3, 32, 32), np.float32))).latent_dist
    shares = np.exp(posterior.logvar.numpy() / 2)
    mean, deviation = measure_latents(vae, pictures(6))
    normalise(vae, mean, deviation)
    latents = np.float64(encode(vae, pictures(6)))
    assert np.allclose(latents.mean(axis=(0, 2, 3)), 0, atol=1e-4)
    assert np.allclose(latents.std(axis=(0, 2, 3)), 1, atol=1e-4)
    assert np.abs(np.int64(reconstruct(vae, pictures(6))) - before).max() <= 1
    after = vae.encode(jt.array(np.zeros((1, 3, 32, 32), np.float32))).latent_dist
    assert np.allclose(np.exp(after.logvar.numpy() / 2), shares / deviation[:, None, None], rtol=1e-3)


def loss(found: np.ndarray, wanted: np.ndarray, chroma: float = 1.0, contrast: float = 0.0) -> float:
    return reconstruction_loss(jt.array(found), jt.array(wanted), chroma, contrast).item()


def test_the_loss_grows_with_chroma_only_where_colours_differ() -> None:
    wanted = np.float32(np.random.default_rng(0).uniform(-1, 1, (2, 3, 16, 16)))
    grey = wanted + np.float32(0.2)
    red = wanted + np.float32([0.4, 0.0, 0.0]).reshape(3, 1, 1)
    assert loss(wanted, wanted, 2.0, 1.0) == pytest.approx(0, abs=1e-6)
    assert loss(grey, wanted, 3.0) == pytest.approx(loss(grey, wanted, 1.0), rel=1e-3)
    assert loss(red, wanted, 3.0) > 1.5 * loss(red, wanted, 1.0)


def test_the_start_is_linear_and_right(tmp_path) -> None:
    """Before any training the latents are the blocks' principal components, and pictures come back as their colours."""
    network = replace(settings(tmp_path).vae.network, block_out_channels=(12, 24), sample_size=32)
    vae = AutoencoderKL(network)
    smooth = np.stack([np.asarray(Image.fromarray(one).resize((32, 32), Image.Resampling.BICUBIC)) for one in
                       np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), np.uint8)])  # fmt: skip
    start_linear(vae, 0, smooth)
    blocks = (
        as_input(smooth).astype(np.float64).reshape(40, 3, 16, 2, 16, 2).transpose(0, 2, 4, 3, 5, 1).reshape(-1, 12)
    )
    variances, directions = np.linalg.eigh(np.cov(blocks.T))
    wanted = (blocks @ directions[:, ::-1][:, :4] / np.sqrt(variances[::-1][:4])).reshape(40, 16, 16, 4)
    found = encode(vae, smooth).transpose(0, 2, 3, 1)
    assert np.abs(found - wanted).mean() < 0.1 * np.abs(wanted).mean()
    error = (np.float64(reconstruct(vae, smooth)) - smooth) ** 2
    assert 10 * np.log10(255**2 / error.mean()) > 20
    initialise(vae, 0)
    assert 10 * np.log10(255**2 / ((np.float64(reconstruct(vae, smooth)) - smooth) ** 2).mean()) < 12


def test_a_lost_texture_costs_by_its_contrast() -> None:
    """Of two answers to a checkerboard with errors of one size, the flat one is worse."""
    board = np.float32((np.indices((16, 16)).sum(axis=0) % 2) * 2 - 1) * np.ones((1, 3, 1, 1), np.float32)
    grey, doubled = 0.0 * board, 2.0 * board
    assert loss(grey, board) == pytest.approx(loss(doubled, board), rel=1e-4)
    assert loss(grey, board, contrast=1.0) == pytest.approx(loss(grey, board) + 1, abs=0.04)


def test_the_divergence() -> None:
    rng = np.random.default_rng(0)
    mean, logvar = rng.standard_normal((2, 1, 4, 3, 3))
    expected = 0.5 * (mean**2 + np.exp(logvar) - 1 - logvar).mean()
    found = kl_divergence(DiagonalGaussian(jt.array(np.float32(mean)), jt.array(np.float32(logvar))))
    assert np.isclose(found.item(), expected, rtol=1e-5)


def test_crops_and_whole_pictures_take_turns(tmp_path) -> None:
    chosen = settings(tmp_path).vae
    shapes = [take_examples(chosen, pictures(9), index).shape for index in range(5)]
    assert shapes == [(1, 32, 32, 3), (4, 16, 16, 3), (4, 16, 16, 3), (4, 16, 16, 3), (1, 32, 32, 3)]
    crop = take_examples(chosen, pictures(9), 1)[0]
    places = np.lib.stride_tricks.sliding_window_view(pictures(9), (16, 16), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    assert (places == crop).all(axis=(3, 4, 5)).sum() == 1
    assert (take_examples(chosen, pictures(9), 1) == take_examples(chosen, pictures(9), 1)).all()
    assert (take_examples(chosen, pictures(9), 1) != take_examples(chosen, pictures(9), 2)).any()
