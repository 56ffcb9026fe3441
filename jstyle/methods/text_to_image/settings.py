"""The settings and inputs of text-to-image, image-to-image and inpainting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from jstyle.pictures.spec import ControlSubject
from jstyle.settings.control import ControlSettings
from jstyle.settings.fields import flat, free, later, require
from jstyle.settings.name_patterns import NUMBERED, require_pattern
from jstyle.settings.paths import Picture, Results, choose_folder, names_picture
from jstyle.settings.prompts import PromptSettings
from jstyle.settings.vocabulary import (
    Fit,
    SamplerName,
    Sigmas,
    draw_seed,
    require_at_least,
    require_count,
    require_curve,
    require_factor,
    require_share,
    require_size,
    require_steps,
)

_BY_SUBJECT = "what a picture is names it"


@dataclass(frozen=True)
class TextToImageSettings:
    """How images are made."""

    negative_prompt: str = ""
    """What the images should not show."""

    reading: PromptSettings = flat(PromptSettings)

    strength: Optional[float] = None
    """Share of the steps that run on a picture: 0.8 by default, 1 for inpainting."""

    steps: int = 50
    """Sampling steps."""

    guidance: float = 7.5
    """Classifier-free guidance; 1 or less turns it off."""

    sampler: Optional[SamplerName] = None
    """By default the checkpoint's own."""

    sigmas: Optional[Sigmas] = later(None)
    """The curve that the sampler's levels follow; by default the checkpoint's spacing."""

    eta: float = 0.0
    """Noise of ddim (0 none, 1 as much as ddpm) and of tcd."""

    seed: int = free(0, because=_BY_SUBJECT)
    """Image i of the run has seed + i; -1 draws one."""

    width: Optional[int] = None
    """Width in pixels; the model's own size by default."""

    height: Optional[int] = None
    """Height in pixels; the model's own size by default."""

    fit: Fit = "keep"
    """How a picture comes to that size: with its own aspect and about that area (keep), without its sides (crop), with
    a mirrored border (pad), out of shape (stretch).
    """

    overlay: bool = True
    """Lay the picture over what is painted anew, so that every pixel outside the mask stays as it is."""

    padding_mask_crop: Optional[int] = None
    """Paint the part around the mask alone, with so many pixels more on each side; the image has the picture's size."""

    controls: ControlSettings = flat(ControlSettings)

    batch_size: int = free(1, because="images are the same in any batch")
    """Images that go through the UNet together."""

    def __post_init__(self) -> None:
        require_steps(self.steps)
        require_factor(guidance=self.guidance)
        require_share(eta=self.eta)
        require_curve(self.sampler, self.sigmas)
        draw_seed(self)
        require_size(width=self.width, height=self.height)
        require_count(batch_size=self.batch_size)
        require_at_least(0, padding_mask_crop=self.padding_mask_crop)


@dataclass(frozen=True)
class TextToImageInputs:
    """What to make."""

    prompt: tuple[str, ...]
    """One or more texts; each becomes its own images."""

    output: Results = Path("outputs/txt2img")
    """Folder for the results, made where it is missing; of a single image its file, which ends in .png."""

    name: str = NUMBERED
    """What images' files are called in the folder; without {number} a name stands for one image."""

    image: Optional[Picture] = None
    """Start from this picture (image-to-image)."""

    mask: Optional[Picture] = None
    """White where the picture is to change (inpainting)."""

    control: tuple[Picture, ...] = ()
    """Maps, or pictures that preprocess makes maps of, one for each ControlNet."""

    images: int = 1
    """Images per prompt."""

    overwrite: bool = free(False, because="asks for the same images again")
    """Make finished images again."""

    def __post_init__(self) -> None:
        require(bool(self.prompt), "at least one prompt is needed")
        require_count(images=self.images)
        require_pattern(self.name)
        twice = names_picture(self.output) and self.name != NUMBERED
        require(not twice, f"{str(self.output)!r} is the image's file, and name calls it otherwise: leave one out")
        count = len(self.prompt) * self.images
        single = not names_picture(self.output) or count == 1
        require(single, f"{str(self.output)!r} is one file, and {count} images are asked for: name a folder as output")
        require(self.mask is None or self.image is not None, "a mask needs the picture it belongs to: give --image too")

    @property
    def folder(self) -> Path:
        """Where images go."""
        return choose_folder(self.output)


@dataclass(frozen=True)
class TextSubject:
    """An image of a text; ``image`` and ``mask`` are the hashes of the files that it starts from, ``controls`` what
    steers it.
    """

    prompt: str
    seed: int
    image: Optional[str] = None
    mask: Optional[str] = None
    controls: tuple[ControlSubject, ...] = later(())
    image_file: str = free("", because="the hash stands for it")
    mask_file: str = free("", because="the hash stands for it")
