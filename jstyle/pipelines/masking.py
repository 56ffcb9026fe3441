"""Which part of pictures is painted anew, while a call runs: callbacks may look at it, and change it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jstyle.diffusion.samplers import AfterStep
from jstyle.diffusion.schedule import Level, diffuse
from jstyle.errors import InputError
from jstyle.pipelines.arrays import read_var
from jstyle.runtime import jt


class Masking:
    """``mask`` (images, 1, height / 8, width / 8), 1 where x is free, and the masked pictures' latents.

    ``see`` makes these, (images, 4, height / 8, width / 8), which checkpoints for inpainting read in every step; for
    other checkpoints a callback alone may ask for them.
    """

    def __init__(self, mask: jt.Var, see: Callable[[], jt.Var]) -> None:
        self.mask = mask
        self._see = see

    @property
    def masked_image_latents(self) -> jt.Var:
        """The latents of the pictures in which the masked part is grey."""
        latents = self._see()
        self._see = lambda: latents
        return latents

    def make_extra(self) -> jt.Var:
        """What checkpoints for inpainting see beside x, (images, 5, height / 8, width / 8)."""
        return jt.concat([self.mask, self.masked_image_latents], dim=1)

    def keep_known(self, clean: jt.Var, unit: jt.Var) -> AfterStep:
        """Puts the known part of the picture, at the noise level reached, back into x."""

        def after_step(x: jt.Var, index: int, level: Level) -> jt.Var:
            known = clean if level.t < 0 else diffuse(clean, unit, level.alpha_bar)
            return (1 - self.mask) * known + self.mask * x

        return after_step

    def change(self, name: str, changed: Any) -> None:
        """Take a callback's "mask" or "masked_image_latents", each image once, or as shown under guidance, twice.

        Raises InputError for another shape, and for two halves that are not the same.
        """
        wanted, changed = tuple(getattr(self, name).shape), read_var(changed, name)
        rows = wanted[0]
        if tuple(changed.shape[1:]) != wanted[1:] or changed.shape[0] not in (rows, 2 * rows):
            raise InputError(f"{name} of a callback must be {wanted}, or twice the rows, not {tuple(changed.shape)}")
        half = changed[:rows]
        if changed.shape[0] == 2 * rows and not np.array_equal(half.numpy(), changed[rows:].numpy()):
            raise InputError(f"{name} of a callback must be the same in both halves of the batch")
        if name == "mask":
            self.mask = half
        else:
            self._see = lambda: half
