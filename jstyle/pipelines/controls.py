"""ControlNets and pictures as a call, a command or a method brings them, made ready for a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Optional

import numpy as np
from PIL import Image

from jstyle.diffusion.control import Control, Steering
from jstyle.errors import InputError
from jstyle.networks import ControlNetModel
from jstyle.networks.config import ControlNetConfig
from jstyle.pictures import images
from jstyle.pictures.control_maps import scale_maps
from jstyle.pictures.finished import hash_pixels
from jstyle.pipelines.starts import FromMaskedPictures, Start, spread
from jstyle.runtime import jt
from jstyle.settings.leaves import unwrap_numpy
from jstyle.settings.messages import show
from jstyle.settings.vocabulary import require_window

if TYPE_CHECKING:
    from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline


@dataclass(frozen=True)
class ShownControl:
    """A net with its maps: one for all images, or one a prompt. ``scale``, ``start`` and ``end`` as of `Control`.

    Raises InputError for numbers that make no sense.
    """

    net: ControlNetModel
    pictures: tuple[Image.Image, ...]
    scale: float = 1.0
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (("scale", self.scale), ("start", self.start), ("end", self.end)):
            number = unwrap_numpy(value)
            if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
                raise InputError(f"ControlNet: {name} must be a finite number, not {show(value)}")
        try:
            require_window(self.start, self.end)
        except ValueError as error:
            raise InputError(f"ControlNet: {error}") from None
        if not self.pictures:
            raise InputError("ControlNet: a net has no map; give one for all images, or one a prompt")


@dataclass(frozen=True)
class Controls:
    """All nets of a run."""

    shown: tuple[ShownControl, ...]
    guess_mode: bool = False

    def describe(self) -> Iterator[tuple[str, Any]]:
        """What a picture says of them, under names that commands have where there are any; nets and maps by content."""
        if not self.shown:
            return
        yield "controlnet", [one.net.hash_weights() for one in self.shown]
        yield "control", [[hash_pixels(picture) for picture in one.pictures] for one in self.shown]
        for name in ("scale", "start", "end"):
            yield f"control_{name}", [getattr(one, name) for one in self.shown]
        yield "guess_mode", self.guess_mode

    def take(self, numbers: Sequence[int], images: int) -> Controls:
        """Those of some of so many images, by their numbers; a map for all is every one's.

        Raises InputError where a net has another number of maps.
        """
        chosen = []
        for one in self.shown:
            maps = len(one.pictures)
            if maps not in (1, images):
                raise InputError(
                    f"ControlNet: {maps} maps for {images} pictures; give one for all of them, or one each"
                )
            chosen.append(one if maps == 1 else replace(one, pictures=tuple(one.pictures[n] for n in numbers)))
        return replace(self, shown=tuple(chosen))

    def check(self, pipe: StableDiffusionPipeline, start: Optional[Start] = None) -> None:
        """Raise InputError where a net is not for this model, and for a start at a part of a picture."""
        for one in self.shown:
            check_net(one.net.config, pipe)
        if self.shown and isinstance(start, FromMaskedPictures) and start.padding_mask_crop is not None:
            raise InputError("padding_mask_crop paints a part of the picture, and maps are of all of it: leave it out")

    def steer(
        self, pipe: StableDiffusionPipeline, size: Sequence[int], count: int, steps: int, first: int = 0
    ) -> Optional[Steering]:
        """What steers ``count`` images of latents of that (height, width), in the steps from ``first`` on.

        Maps come to the images' size out of shape, as in diffusers. Raises InputError where they do not spread over the
        images.
        """
        factor = pipe.vae.config.factor
        height, width = (side * factor for side in size)
        controls = [
            Control(one.net, spread_maps(read_maps(one.pictures, width, height), count), one.scale, one.start, one.end)
            for one in self.shown
        ]
        return Steering(controls, steps, first, self.guess_mode) if controls else None


NO_CONTROLS = Controls(())


def read_maps(pictures: Sequence[Image.Image], width: int, height: int) -> jt.Var:
    """Pictures of any size as a net is shown them, (pictures, 3, height, width) in [0, 1]."""
    fitted = [
        images.require_rgb(one) if one.size == (width, height) else images.fit(one, width, height, "stretch")
        for one in pictures
    ]
    return jt.array(scale_maps(np.stack([np.asarray(one).transpose(2, 0, 1) for one in fitted])))


def spread_maps(maps: jt.Var, count: int) -> jt.Var:
    """One map for all images as it is, several repeated to one an image. Raises InputError if uneven."""
    return maps if maps.shape[0] == 1 else spread(maps, count)


def check_net(config: ControlNetConfig, pipe: StableDiffusionPipeline) -> None:
    """Raise InputError for a net, by its configuration, of another family than the model's."""
    unet = pipe.unet.config
    if not pipe.unet.takes_residuals:
        raise InputError("a ControlNet steers this project's own networks alone: leave backend at native")
    if config.cross_attention_dim != unet.cross_attention_dim:
        raise InputError(
            f"the ControlNet reads texts of width {config.cross_attention_dim}, this model's are of "
            f"{unet.cross_attention_dim}: take a net of the model's family (768 is Stable Diffusion 1.x, 1024 is 2.x, "
            "2048 is XL)"
        )
    if config.has_addition != unet.has_addition:
        raise InputError("one of ControlNet and model is of SDXL, the other is not: take a net of the model's family")
    if config.in_channels != pipe.vae.config.latent_channels:
        taken, made = config.in_channels, pipe.vae.config.latent_channels
        raise InputError(f"the ControlNet takes latents of {taken} channels, this model's have {made}")
    if config.list_skips(64, 64) != unet.list_skips(64, 64):
        raise InputError("the ControlNet's levels are not those of this model's UNet: take a net of the model's family")
    if config.factor != pipe.vae.config.factor:
        raise InputError(
            f"the ControlNet's maps are {config.factor} times as large as latents, this model's pictures "
            f"{pipe.vae.config.factor} times"
        )
