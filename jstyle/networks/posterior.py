"""The distribution of the latents of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jstyle.networks.random_numbers import draw_normal
from jstyle.runtime import jt


@dataclass(frozen=True)
class DiagonalGaussian:
    """The posterior of the latent, (batch, latent_channels, height, width)."""

    mean: jt.Var
    logvar: jt.Var

    @property
    def std(self) -> jt.Var:
        """The standard deviation, of the mean's shape."""
        return jt.exp(0.5 * self.logvar)

    @property
    def var(self) -> jt.Var:
        """The variance, of the mean's shape."""
        return jt.exp(self.logvar)

    def mode(self) -> jt.Var:
        """The most likely latent."""
        return self.mean

    def sample(self, generator: Any = None) -> jt.Var:
        """A latent drawn with fresh noise, for whose ``generator`` see `draw_normal`."""
        return self.move(draw_normal(generator, self.mean.shape, "posterior"))

    def move(self, noise: jt.Var) -> jt.Var:
        """The latent to which ``noise`` leads, which is standard normal and of the mean's shape."""
        return self.mean + self.std * noise
