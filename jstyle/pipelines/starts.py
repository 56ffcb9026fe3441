"""What images start from: noise, pictures that are noised part of the way, or the part of them that a mask leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Optional, Protocol, Union

import numpy as np
from PIL import Image

from jstyle.diffusion.noise import NoiseSource
from jstyle.diffusion.samplers import AfterStep, Sampler
from jstyle.diffusion.schedule import diffuse
from jstyle.errors import InputError
from jstyle.pictures import images
from jstyle.pictures.masks import Masked, find_region, read_mask
from jstyle.pipelines.masking import Masking
from jstyle.runtime import jt
from jstyle.settings.leaves import unwrap_numpy
from jstyle.settings.messages import show

if TYPE_CHECKING:
    from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline

Pictures = Union[Image.Image, Sequence[Image.Image]]
Finish = Callable[[np.ndarray], np.ndarray]
"""From decoded images (images, 3, height, width) in about [-1, 1] to what is returned of them."""


@dataclass(frozen=True)
class Beginning:
    """Where sampling begins: x (images, channels, height, width) at the level that step ``index`` is fed.

    ``extra`` is what an inpainting checkpoint sees beside x, ``after_step`` what is done to x after each step,
    ``finish`` what becomes of the decoded images, ``masking`` which part of pictures is painted anew.
    """

    x: jt.Var
    index: int = 0
    extra: Optional[jt.Var] = None
    after_step: Optional[AfterStep] = None
    finish: Optional[Finish] = None
    masking: Optional[Masking] = None


class Start(Protocol):
    """What images start from: noise, or pictures."""

    def begin(
        self, pipe: StableDiffusionPipeline, method: Sampler, steps: int, noise: NoiseSource, unit: Optional[jt.Var]
    ) -> Beginning:
        """Begin an image for each seed of ``noise``; ``unit`` replaces the initial unit noise.

        Raises InputError for sizes, counts and strengths that cannot be.
        """
        ...


@dataclass(frozen=True)
class FromNoise:
    """Text-to-image: pure noise of a size in pixels, the model's own by default."""

    height: Optional[int] = None
    width: Optional[int] = None

    def begin(
        self, pipe: StableDiffusionPipeline, method: Sampler, steps: int, noise: NoiseSource, unit: Optional[jt.Var]
    ) -> Beginning:
        """As every `Start` does."""
        shape = pipe.latent_shape(self.height, self.width)
        return Beginning(draw_unit(noise, shape, unit) * method.initial_scale(pipe.schedule, steps))


@dataclass(frozen=True)
class FromPictures:
    """Image-to-image: one picture for all images or one a prompt, noised part of the way (SDEdit, arXiv 2108.01073).

    Of the steps the last ``strength`` share runs. A picture's latent is the posterior's mode.
    """

    pictures: Pictures
    strength: float = 0.8

    def begin(
        self, pipe: StableDiffusionPipeline, method: Sampler, steps: int, noise: NoiseSource, unit: Optional[jt.Var]
    ) -> Beginning:
        """As every `Start` does."""
        start = first_step(steps, self.strength)
        clean = encode_each(pipe, images.to_array(list_pictures(self.pictures)), len(noise.seeds))
        return noise_part_of_the_way(pipe, method, steps, start, clean, draw_unit(noise, clean.shape[1:], unit))


@dataclass(frozen=True)
class FromLatents:
    """Image-to-image from latents of pictures, (n, 4, height / 8, width / 8), as output_type "latent" returns them."""

    latents: np.ndarray
    strength: float = 0.8

    def begin(
        self, pipe: StableDiffusionPipeline, method: Sampler, steps: int, noise: NoiseSource, unit: Optional[jt.Var]
    ) -> Beginning:
        """As every `Start` does."""
        start = first_step(steps, self.strength)
        clean = spread(jt.array(self.latents), len(noise.seeds))
        return noise_part_of_the_way(pipe, method, steps, start, clean, draw_unit(noise, clean.shape[1:], unit))


@dataclass(frozen=True)
class FromMaskedPictures:
    """Inpainting: the part of the pictures under a white mask is painted anew; strength 1 starts from pure noise.

    With a 4-channel UNet the known part is put back, noised, after every step (RePaint's blending,
    arXiv 2201.09865, equation 8); a 9-channel inpainting checkpoint sees the mask and the masked picture. Both leave
    the known part to the autoencoder, which changes it; so the picture itself is laid over the result, but for latents,
    unless ``overlay`` is off.

    ``padding_mask_crop`` sends the part around the mask alone through the model, with so many pixels more on each side,
    at ``size`` (width, height), by default the model's own; the result has the picture's size. The name is diffusers'.
    ``masked_latents`` stand for the masked pictures that an inpainting checkpoint sees.
    """

    pictures: Pictures
    masks: Pictures
    strength: float = 1.0
    overlay: bool = True
    padding_mask_crop: Optional[int] = None
    size: Optional[tuple[int, int]] = None
    masked_latents: Optional[jt.Var] = None

    def begin(
        self, pipe: StableDiffusionPipeline, method: Sampler, steps: int, noise: NoiseSource, unit: Optional[jt.Var]
    ) -> Beginning:
        """As every `Start` does."""
        start = first_step(steps, self.strength)
        count = len(noise.seeds)
        masked = self._read_masks(pipe)
        parts = [self._cut_part(one, pipe) for one in masked]
        pixels = images.to_array([picture for picture, _ in parts])
        self._check_known(pipe, pixels, count)
        clean = encode_each(pipe, pixels, count)
        drawn = draw_unit(noise, clean.shape[1:], unit)
        if self.strength == 1.0:
            begun = Beginning(drawn * method.initial_scale(pipe.schedule, steps), start)
        else:
            begun = noise_part_of_the_way(pipe, method, steps, start, clean, drawn)
        masks = images.to_mask([mask for _, mask in parts])  # (pictures, 1, height, width)
        rows = [row * len(masked) // count for row in range(count)]
        small = jt.array(_shrink_masks(masks, pipe.vae.config.factor)[rows])
        finish = self._make_finish([masked[row] for row in rows])
        masking = Masking(small, lambda: self._see_known(pipe, masks, pixels, count))
        if pipe.unet.config.in_channels == clean.shape[1]:
            return replace(begun, after_step=masking.keep_known(clean, drawn), finish=finish, masking=masking)
        return replace(begun, extra=masking.make_extra(), finish=finish, masking=masking)

    def _check_known(self, pipe: StableDiffusionPipeline, pixels: np.ndarray, count: int) -> None:
        """Raise InputError for masked latents of another shape, whether the network reads them or not."""
        if self.masked_latents is None:
            return
        shape, wanted = tuple(self.masked_latents.shape), pipe.latent_shape(*pixels.shape[2:])
        if shape[1:] != wanted or not shape[0]:
            raise InputError(f"masked_image_latents of shape {('n', *wanted)} are needed, not {shape}")
        check_spread(shape[0], count)

    def _see_known(self, pipe: StableDiffusionPipeline, masks: np.ndarray, pixels: np.ndarray, count: int) -> jt.Var:
        """Latents, one an image, of the pictures in which the masked part is grey."""
        if self.masked_latents is None:
            return encode_each(pipe, np.where(masks > 0.5, np.float32(0), pixels), count)
        return spread(self.masked_latents, count)

    def _read_masks(self, pipe: StableDiffusionPipeline) -> list[Masked]:
        """Every picture with its mask. Raises InputError where they do not fit each other."""
        pictures, given = list_pictures(self.pictures), list_pictures(self.masks)
        if len(given) not in (1, len(pictures)):
            raise InputError(f"{len(given)} masks for {len(pictures)} pictures: give one for all, or one each")
        masked = [read_mask(picture, given[i % len(given)]) for i, picture in enumerate(pictures)]
        if self.padding_mask_crop is None:
            return masked
        crop = unwrap_numpy(self.padding_mask_crop)
        if isinstance(crop, bool) or not isinstance(crop, int) or crop < 0:
            raise InputError(f"padding_mask_crop must be at least 0, not {show(crop)}")
        width, height = self._choose_size(pipe)
        return [replace(one, region=find_region(one.free, width / height, self.padding_mask_crop)) for one in masked]

    def _cut_part(self, masked: Masked, pipe: StableDiffusionPipeline) -> tuple[Image.Image, Image.Image]:
        """What of a picture goes through the model, and its mask."""
        if self.padding_mask_crop is None:
            height, width = masked.free.shape
            return masked.cut_out(width, height)
        return masked.cut_out(*self._choose_size(pipe))

    def _choose_size(self, pipe: StableDiffusionPipeline) -> tuple[int, int]:
        return self.size or (pipe.size, pipe.size)

    def _make_finish(self, masked: Sequence[Masked]) -> Optional[Finish]:
        """Lay each picture over its image. A region's image alone is of no use, so it is always put back."""
        if not self.overlay and self.padding_mask_crop is None:
            return None
        if self.padding_mask_crop is None:
            known = images.to_array([Image.fromarray(one.pixels) for one in masked])
            free = np.stack([one.free for one in masked])[:, None]
            return lambda decoded: np.where(free, decoded, known)
        return lambda decoded: images.to_array(
            [one.lay_over(image) for one, image in zip(masked, images.to_images(decoded))]
        )


def _shrink_masks(masks: np.ndarray, factor: int) -> np.ndarray:
    """Masks (n, 1, height, width) at the latents' size. Raises InputError where nothing of one is left there."""
    small = masks[:, :, ::factor, ::factor]
    if not small.any(axis=(1, 2, 3)).all():
        raise InputError(f"the mask's white parts are too small: of {factor}x{factor} pixels the model sees one")
    return small


def draw_unit(noise: NoiseSource, shape: tuple[int, int, int], unit: Optional[jt.Var] = None) -> jt.Var:
    """The initial unit noise (images, *shape), or what the caller brings in its place.

    Raises InputError for a ``unit`` of another shape.
    """
    if unit is None:
        return noise.normal("latents", shape)
    if tuple(unit.shape) != (len(noise.seeds), *shape):
        raise InputError(f"latents of shape {(len(noise.seeds), *shape)} are needed, not {tuple(unit.shape)}")
    return unit


def noise_part_of_the_way(
    pipe: StableDiffusionPipeline, method: Sampler, steps: int, start: int, clean: jt.Var, unit: jt.Var
) -> Beginning:
    """Clean latents noised to the level that step ``start`` of ``steps`` is fed."""
    level = method.levels(pipe.schedule, steps, None)[start]
    return Beginning(diffuse(clean, unit, level.alpha_bar), start)


def encode_each(pipe: StableDiffusionPipeline, pixels: np.ndarray, count: int) -> jt.Var:
    """Latents of pictures (n, 3, height, width) in [-1, 1], repeated to one an image. Raises InputError if uneven."""
    check_spread(len(pixels), count)
    pipe.latent_shape(*pixels.shape[2:])
    return spread(pipe.encode_images(jt.array(pixels)), count)


def spread(rows: jt.Var, count: int) -> jt.Var:
    """Rows, one a picture, repeated to one an image. Raises InputError if uneven."""
    check_spread(rows.shape[0], count)
    return jt.concat([rows[i * rows.shape[0] // count].unsqueeze(0) for i in range(count)], dim=0)


def check_spread(pictures: int, count: int) -> None:
    """Raise InputError unless so many pictures can each become equally many of ``count`` images."""
    if count % pictures:
        raise InputError(f"{pictures} pictures do not spread over {count} images; give one, or one a prompt")


def list_pictures(pictures: Pictures) -> list[Image.Image]:
    """One picture or several, as a list."""
    return [pictures] if isinstance(pictures, Image.Image) else list(pictures)


def first_step(steps: int, strength: float) -> int:
    """The index of the first step that runs. Raises InputError when none would."""
    if isinstance(strength, bool) or not isinstance(strength, Real) or not 0.0 <= strength <= 1.0:
        raise InputError(f"strength must lie between 0 and 1, not {show(strength)}")
    run = min(int(steps * strength), steps)
    if run == 0:
        raise InputError(f"strength {strength} of {steps} steps leaves none to run; raise one of them")
    return steps - run
