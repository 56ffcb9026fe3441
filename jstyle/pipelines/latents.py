"""Between pictures and latents: sizes, the autoencoder image by image, tiles of large images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Optional

import numpy as np

from jstyle.errors import InputError
from jstyle.networks import AutoencoderKL, UNet2DConditionModel
from jstyle.networks.entry import check_shape
from jstyle.networks.posterior import DiagonalGaussian
from jstyle.pictures.fitting import Frame
from jstyle.pipelines.tiling import in_tiles
from jstyle.runtime import jt
from jstyle.runtime.memory import measure_memory
from jstyle.settings.leaves import unwrap_numpy
from jstyle.settings.messages import show
from jstyle.settings.vocabulary import LONGEST_SIDE, Fit

FLOAT = 4  # bytes
MAX_TILE = 512  # pixels; what decoding one tile takes grows with its area, its attention with the square of that


class Latents:
    """What a pipeline with these two networks knows of its latents."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL

    counts: ClassVar[bool] = False
    """Whether it stands for a model in order to count what a run costs."""

    @property
    def size(self) -> int:
        """The side, in pixels, of the images that the model was trained on."""
        return self.unet.config.sample_size * self.vae.config.factor

    @property
    def vae_tiling(self) -> bool:
        """Whether large images are encoded and decoded in overlapping tiles: the VAE's own ``use_tiling``."""
        return self.vae.use_tiling

    @vae_tiling.setter
    def vae_tiling(self, wished: bool) -> None:
        """Set the VAE's own switch, which all its pipelines have in common."""
        self.vae.use_tiling = wished

    def enable_vae_tiling(self) -> None:
        """Encode and decode large images in overlapping tiles, in the memory that one tile takes."""
        self.vae_tiling = True

    def disable_vae_tiling(self) -> None:
        """Encode and decode every image at once."""
        self.vae_tiling = False

    def latent_shape(self, height: Optional[int], width: Optional[int]) -> tuple[int, int, int]:
        """(channels, height, width) of the latent of an image this size, the model's own size by default.

        Raises InputError for a size that the VAE cannot halve often enough, and one that this machine cannot hold.
        """
        factor = self.vae.config.factor
        height, width = (self.size if side is None else _read_side(side) for side in (height, width))
        if height <= 0 or width <= 0 or height % factor or width % factor:
            raise InputError(f"a size must be a positive multiple of {factor}, not {width}x{height} (width x height)")
        if max(height, width) > LONGEST_SIDE:
            raise InputError(f"a side must be at most {LONGEST_SIDE} pixels, not {max(height, width)}")
        self._check_memory(height, width)
        return self.vae.config.latent_channels, height // factor, width // factor

    def _check_memory(self, height: int, width: int) -> None:
        """Raise InputError where not even the widest layers of the networks have room, each with what comes in."""
        pixels, factor = height * width, self.vae.config.factor
        maps = {"UNet": 2 * self.unet.config.block_out_channels[0] * pixels // factor**2}
        if not self.vae_tiling:
            maps["VAE"] = sum(self.vae.config.block_out_channels[:2]) * pixels
        name = max(maps, key=lambda name: maps[name])
        needed, there = FLOAT * maps[name], measure_memory()
        if 0 < there < needed:
            advice = "a smaller size" if self.vae_tiling else "a smaller size, or vae_tiling"
            raise InputError(
                f"{width}x{height} pixels: one layer of the {name} alone takes {needed / 1e9:.0f} GB, and this machine "
                f"has {there / 1e9:.0f}; choose {advice}"
            )

    def make_frame(self, width: Optional[int], height: Optional[int], how: Fit) -> Frame:
        """How pictures come to a size in pixels, the model's own by default. Raises InputError as `latent_shape`."""
        factor = self.vae.config.factor
        _, rows, columns = self.latent_shape(height, width)
        return Frame(columns * factor, rows * factor, how, factor)

    def encode_posterior(self, picture: jt.Var) -> DiagonalGaussian:
        """The autoencoder's own posterior of an image (1, 3, height, width) in [-1, 1], in tiles where those are on."""
        moments = self._run_tiled(self._moments, picture, 1 / self.vae.config.factor)
        return DiagonalGaussian(*jt.chunk(moments, 2, dim=1))

    def encode_images(self, pictures: jt.Var, noise: Optional[jt.Var] = None) -> jt.Var:
        """Latents of images (batch, 3, height, width) in [-1, 1]: the posterior's mode, or a draw from ``noise``.

        Raises InputError, before anything is computed, for images and noise of other shapes.
        """
        self.vae.check_image(pictures)
        if noise is not None:
            shape = (pictures.shape[0], *self.latent_shape(*pictures.shape[2:]))
            check_shape("VAE", "noise", noise, shape, f" for images {tuple(pictures.shape)}")
        latents = []
        for i in range(pictures.shape[0]):
            with jt.no_grad():
                posterior = self.encode_posterior(pictures[i : i + 1])
                latent = posterior.mode() if noise is None else posterior.move(noise[i : i + 1])
                latents.append(latent * self.vae.config.scaling_factor)
                latents[-1].sync()
        return jt.concat(latents, dim=0)

    def decode_latents(self, latents: jt.Var) -> np.ndarray:
        """Images (batch, 3, height, width) in about [-1, 1], one at a time to bound memory.

        Raises InputError, before anything is computed, for latents of another shape than (batch, 4, height / 8,
        width / 8), or what the model has in place of 4.
        """
        self.vae.check_latent(latents)
        decoded = []
        for i in range(latents.shape[0]):
            with jt.no_grad():
                latent = latents[i : i + 1] / self.vae.config.scaling_factor
                decoded.append(np.array(self._run_tiled(self._render, latent, self.vae.config.factor).numpy()))
        return np.concatenate(decoded)

    def _moments(self, pictures: jt.Var) -> jt.Var:
        posterior = self.vae.encode(pictures).latent_dist
        return jt.concat([posterior.mean, posterior.logvar], dim=1)

    def _render(self, latents: jt.Var) -> jt.Var:
        return self.vae.decode(latents).sample

    def _run_tiled(self, run: Callable[[jt.Var], jt.Var], x: jt.Var, scale: float) -> jt.Var:
        side = min(self.vae.config.sample_size, MAX_TILE)
        tile = side if scale < 1 else side // self.vae.config.factor
        if self.vae_tiling and max(x.shape[2:]) > tile:
            return in_tiles(run, x, tile, scale)
        return run(x)


def _read_side(side: Any) -> int:
    """A side in pixels. Raises InputError for what is no whole number."""
    side = unwrap_numpy(side)
    if isinstance(side, bool) or not isinstance(side, int):
        raise InputError(f"a size must be a whole number of pixels, not {show(side)}")
    return side
