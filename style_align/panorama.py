"""MultiDiffusion: a picture of any size from overlapping windows (arXiv 2302.08113, algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from jstyle.diffusion.samplers import Denoiser
from jstyle.diffusion.schedule import Level, Prediction
from jstyle.errors import InputError
from jstyle.pipelines.cost import CountingDenoiser
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from style_align.settings import StyleAlignSettings

Shape = tuple[int, int, int]
"""(channels, height, width)."""


class Window(NamedTuple):
    """The rows and columns of one window; columns may go around."""

    rows: np.ndarray
    columns: np.ndarray


def windows(height: int, width: int, side: int, stride: int, *, circular: bool = False) -> list[Window]:
    """Windows of at most ``side`` x ``side`` that cover a latent, ``stride`` apart; the last ends at the edge.

    ``circular`` windows go on at the left edge where the right one ends. Raises InputError where gaps would be left.
    """
    if stride > side:
        raise InputError(f"a stride of {stride} leaves gaps between windows of {side} latent pixels; use a smaller one")
    tops = _starts(height, side, stride)
    lefts = list(range(0, width, stride)) if circular else _starts(width, side, stride)
    tall, wide = min(side, height), min(side, width)
    return [Window(np.arange(top, top + tall), np.arange(left, left + wide) % width) for top in tops for left in lefts]


def _starts(length: int, side: int, stride: int) -> list[int]:
    if length <= side:
        return [0]
    return [*range(0, length - side, stride), length - side]


def latent_shapes(pipe: StableDiffusionPipeline, settings: StyleAlignSettings) -> tuple[Shape, Shape]:
    """The latents of targets and of references; a panorama's reference is one window.

    Raises InputError for sizes that the model cannot have, and windows that leave gaps.
    """
    canvas = settings.canvas
    if not canvas.panorama:
        shape = pipe.latent_shape(canvas.height, canvas.width)
        return shape, shape
    shape = pipe.latent_shape(canvas.height, canvas.width or 2 * pipe.size)
    side = canvas.window or pipe.unet.config.sample_size
    windows(*shape[1:], side, canvas.stride, circular=canvas.circular)
    return shape, (shape[0], min(side, shape[1]), min(side, shape[2]))


class WindowDenoiser(Denoiser, CountingDenoiser, Protocol):
    """What denoises windows, and counts them."""


class Panorama:
    """A denoiser of one large latent (1, channels, height, width) that averages those of its windows.

    The paper takes a DDIM step in every window and averages the results. A step is linear in x and the prediction,
    so averaging the predictions is the same, for every sampler. ``denoiser_of`` makes the denoiser of that many
    windows at once.
    """

    def __init__(self, denoiser_of: Callable[[int], WindowDenoiser], places: Sequence[Window], batch_size: int) -> None:
        self._denoiser_of = denoiser_of
        self._places = list(places)
        self._batch_size = batch_size
        self._denoisers: dict[int, WindowDenoiser] = {}

    @property
    def evaluations(self) -> int:
        """The windows that have gone through the UNet."""
        return sum(denoiser.evaluations for denoiser in self._denoisers.values())

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        """x is (1, channels, height, width)."""
        whole = np.array(x.numpy())[0]
        sums = np.zeros((2, *whole.shape), np.float32)
        counts = np.zeros(whole.shape[1:], np.float32)
        for start in range(0, len(self._places), self._batch_size):
            places = self._places[start : start + self._batch_size]
            crops = np.stack([whole[:, place.rows[:, None], place.columns] for place in places])
            prediction = self._denoiser(len(places))(jt.array(crops), level, step)
            jt.sync([prediction.x0, prediction.eps])
            outputs = np.stack([prediction.x0.numpy(), prediction.eps.numpy()])
            for i, place in enumerate(places):
                at = place.rows[:, None], place.columns
                sums[:, :, at[0], at[1]] += outputs[:, i]
                counts[at] += 1
        x0, eps = (jt.array((total / counts)[None]) for total in sums)
        return Prediction(x0, eps)

    def _denoiser(self, count: int) -> WindowDenoiser:
        if count not in self._denoisers:
            self._denoisers[count] = self._denoiser_of(count)
        return self._denoisers[count]


def decode(pipe: StableDiffusionPipeline, x: jt.Var, side: int, *, circular: bool) -> np.ndarray:
    """The pictures of latents; a circular one is decoded with its other edge beside each edge, so no seam shows."""
    if not circular:
        return pipe.decode_latents(x)
    width, factor = x.shape[3], pipe.vae.config.factor
    margin = min(max(side // 4, 1), width)
    columns = np.arange(-margin, width + margin) % width
    wide = jt.array(np.array(x.numpy())[..., columns])
    return pipe.decode_latents(wide)[..., margin * factor : (margin + width) * factor]
