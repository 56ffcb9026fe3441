"""The autoencoder: the loss that says what it must keep, its training, and latents of unit scale."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from jstyle.networks import AutoencoderKL
from jstyle.networks.initial import set_values
from jstyle.networks.posterior import DiagonalGaussian
from jstyle.pictures import images
from jstyle.runtime import jt
from jstyle.training import TrainState, TrainStep
from jstyle.training.draws import make_generator
from jstyle.training.report import write_grid
from jstyle.weights.loading import save_weights
from recipes.tiny.fit import fit
from recipes.tiny.pictures import as_input
from recipes.tiny.settings import VaeSettings
from recipes.tiny.start import start_linear

FILE = "vae.safetensors"
SAMPLES = 8
# JPEG's brightness and its two colour differences (ITU-R BT.601), as rows.
_YCC = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])
_SOFT = 0.3  # smaller errors count by their square, as in PSNR; larger ones by their size
_PIXELS = 4.0  # the weight of errors at single pixels relative to those of blocks of these sizes:
_POOLS = (2, 4, 8)
_WINDOW = 8  # pixels along a side of the windows in which contrast is compared
_SHEET_EVERY = 500
_SEEN_BEFORE = 1000  # pictures that give the principal components at the start
_WHOLE_EVERY = 4


def reconstruction_loss(pictures: jt.Var, targets: jt.Var, chroma: float, contrast: float) -> jt.Var:
    """How far pictures (batch, 3, h, w) in [-1, 1] are from their targets.

    Errors of brightness and, ``chroma`` times, of colour are measured at the pixels and in the means of blocks of 2, 4
    and 8 pixels a side: so a colour that fine lines or dots make up together is kept even where these are not.
    ``contrast`` weighs the differences in contrast within windows, SSIM's second factor (Wang et al. 2004): without
    it the best answer to a texture that cannot be kept is grey.
    """
    error = _mix_channels(pictures - targets, _YCC * np.array([[1.0], [chroma], [chroma]]))
    total = _PIXELS * _penalise(error)
    for size in _POOLS:
        total = total + _penalise(_pool(error, size))
    reached, wanted = (_measure_contrast(_mix_channels(x, _YCC[:1])) for x in (pictures, targets))
    return total + contrast * (reached - wanted).abs().mean()


def kl_divergence(posterior: DiagonalGaussian) -> jt.Var:
    """The divergence from a standard normal, its mean over all numbers of the latent (arXiv 1312.6114, appendix B)."""
    return 0.5 * (posterior.mean.sqr() + jt.exp(posterior.logvar) - 1 - posterior.logvar).mean()


def train_vae(settings: VaeSettings, folder: Path, pictures: np.ndarray) -> None:
    """Train the autoencoder, normalise its latents and write ``vae.safetensors``. ``pictures``: (n, s, s, 3) uint8."""
    vae = AutoencoderKL(settings.network)
    start_linear(vae, settings.loop.seed, pictures[:_SEEN_BEFORE])

    def batch(index: int) -> np.ndarray:
        return as_input(take_examples(settings, pictures, index))

    def loss(examples: np.ndarray, index: int) -> jt.Var:
        targets = jt.array(examples)
        posterior = vae.encode(targets).latent_dist
        noise = make_generator(settings.loop.seed, index, "posterior").standard_normal(posterior.mean.shape, np.float32)
        decoded = vae.decode(posterior.move(jt.array(noise))).sample
        error = reconstruction_loss(decoded, targets, settings.chroma, settings.contrast)
        return error + settings.kl * kl_divergence(posterior)

    def sheet(step: TrainStep, state: TrainState) -> None:
        if step.step % _SHEET_EVERY == 0:
            with state.averaged():
                save_sheet(vae, pictures[:SAMPLES], folder / f"pictures-{step.step:06d}.png")

    identity = {**asdict(settings), "pictures": len(pictures)}
    del identity["loop"]
    state = fit(folder, dict(vae.named_parameters()), batch, loss, settings.loop, identity, sheet)
    with state.averaged():
        normalise(vae, *measure_latents(vae, pictures[:1024]))
        save_weights(vae, folder / FILE)


def take_examples(settings: VaeSettings, pictures: np.ndarray, index: int) -> np.ndarray:
    """The batch of this index, (n, side, side, 3) uint8: crops, or every fourth time whole pictures.

    A step on crops costs as much and learns from more pictures, but group norm and the attention in the middle
    must also see whole ones.
    """
    seed, size = settings.loop.seed, pictures.shape[1]
    whole = index % _WHOLE_EVERY == 0
    side = size if whole else min(settings.crop, size)
    count = max(1, settings.batch * settings.crop**2 // size**2) if whole else settings.batch
    numbers = make_generator(seed, index, "pictures").integers(len(pictures), size=count)
    corners = make_generator(seed, index, "corners").integers(size - side + 1, size=(count, 2))
    return np.stack([pictures[i, y : y + side, x : x + side] for i, (y, x) in zip(numbers, corners)])


def encode(vae: AutoencoderKL, pictures: np.ndarray, batch: int = 16) -> np.ndarray:
    """(n, size, size, 3) uint8 -> the posterior's means, (n, latent_channels, h, w) float32."""
    means = []
    for start in range(0, len(pictures), batch):
        with jt.no_grad():
            means.append(vae.encode(jt.array(as_input(pictures[start : start + batch]))).latent_dist.mean.numpy())
    return np.concatenate(means)


def reconstruct(vae: AutoencoderKL, pictures: np.ndarray, batch: int = 16) -> np.ndarray:
    """(n, size, size, 3) uint8 pictures, encoded and decoded again -> the same shape and dtype."""
    latents, decoded = encode(vae, pictures, batch), []
    for start in range(0, len(latents), batch):
        with jt.no_grad():
            decoded.append(vae.decode(jt.array(latents[start : start + batch])).sample.numpy())
    return np.stack([np.asarray(picture) for picture in images.to_images(np.concatenate(decoded))])


def measure_latents(vae: AutoencoderKL, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the deviation of each channel of the latent, (latent_channels,) float64."""
    latents = np.float64(encode(vae, pictures))
    return latents.mean(axis=(0, 2, 3)), latents.std(axis=(0, 2, 3))


def normalise(vae: AutoencoderKL, mean: np.ndarray, deviation: np.ndarray) -> None:
    """Bring the latent's channels, of this mean and deviation, to zero and one, without changing the pictures.

    The 1x1 convolutions around the latent absorb the scale. So diffusion gets channels of equal size, which a
    single ``scaling_factor`` could not give it.
    """
    into, out = vae.quant_conv, vae.post_quant_conv
    scale = np.concatenate([1 / deviation, np.ones_like(deviation)])
    shift = np.concatenate([-mean / deviation, -2 * np.log(deviation)])
    weight, bias = _read_values(into)
    set_values(into.weight, weight * scale[:, None, None, None])
    set_values(into.bias, bias * scale + shift)
    weight, bias = _read_values(out)
    set_values(out.weight, weight * deviation[:, None, None])
    set_values(out.bias, bias + weight[:, :, 0, 0] @ mean)


def save_sheet(vae: AutoencoderKL, pictures: np.ndarray, path: Path) -> None:
    """Write a sheet with the pictures, and below each what the autoencoder makes of it."""
    rows = [images.to_images(as_input(row)) for row in (pictures, reconstruct(vae, pictures))]
    write_grid(rows, path)


def _mix_channels(x: jt.Var, weight: np.ndarray) -> jt.Var:
    """(batch, 3, h, w) -> (batch, out, h, w): ``weight`` (out, 3) times the colours of each pixel."""
    red, green, blue = x[:, 0], x[:, 1], x[:, 2]
    return jt.stack([red * r + green * g + blue * b for r, g, b in weight.tolist()], dim=1)


def _penalise(error: jt.Var) -> jt.Var:
    return (jt.sqrt(error.sqr() + _SOFT**2) - _SOFT).mean()


def _pool(x: jt.Var, size: int) -> jt.Var:
    b, c, h, w = x.shape
    return x.reshape(b, c, h // size, size, w // size, size).mean(dims=(3, 5))


def _measure_contrast(luma: jt.Var) -> jt.Var:
    """The deviation within each window, (batch, 1, h / _WINDOW, w / _WINDOW)."""
    mean = _pool(luma, _WINDOW)
    # rounding may make the difference of squares negative
    return jt.sqrt(jt.maximum(_pool(luma.sqr(), _WINDOW) - mean.sqr(), 0.0) + 1e-3)


def _read_values(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias in float64."""
    return layer.weight.numpy().astype(np.float64), layer.bias.numpy().astype(np.float64)
